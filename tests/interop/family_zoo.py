"""Small random models of Hugging Face transformers, one or more a family.

Every one is tiny, has options that differ from the family's defaults, and parameters (norms and biases too) that are
far from their starting values, so that each of them shows in the logits.
"""
import torch
import transformers as hf

VOCAB = 96
SMALL = dict(vocab_size=VOCAB, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, pad_token_id=0,
             bos_token_id=1, eos_token_id=2)
LLAMA = dict(SMALL, num_key_value_heads=2, intermediate_size=48, max_position_embeddings=128)
BERT = dict(SMALL, intermediate_size=48, max_position_embeddings=128, type_vocab_size=2, layer_norm_eps=1e-7)


def rope(kind, **options):
    return {"rope_type": kind, "rope_theta": 5000.0, **options}


VIT = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, image_size=16, patch_size=4,
           num_channels=3, layer_norm_eps=1e-7)
SWIN = dict(embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=4, image_size=32, patch_size=2, mlp_ratio=2.5,
            layer_norm_eps=1e-4)

# name: (class, its configuration's class, options)
MODELS = {
    "llama": (hf.LlamaForCausalLM, hf.LlamaConfig, dict(LLAMA, rms_norm_eps=1e-4)),
    "llama_3": (hf.LlamaForCausalLM, hf.LlamaConfig, dict(
        LLAMA, head_dim=16, attention_bias=True, mlp_bias=True, tie_word_embeddings=True,
        rope_parameters=rope("llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
                             original_max_position_embeddings=32))),
    "llama_linear": (hf.LlamaForCausalLM, hf.LlamaConfig, dict(LLAMA, rope_parameters=rope("linear", factor=3.0))),
    "llama_dynamic": (hf.LlamaForCausalLM, hf.LlamaConfig, dict(LLAMA, rope_parameters=rope("dynamic", factor=2.0))),
    "llama_yarn": (hf.LlamaForCausalLM, hf.LlamaConfig, dict(
        LLAMA, rope_parameters=rope("yarn", factor=4.0, original_max_position_embeddings=32))),
    "mistral": (hf.MistralForCausalLM, hf.MistralConfig, dict(LLAMA, sliding_window=7)),
    "qwen2": (hf.Qwen2ForCausalLM, hf.Qwen2Config, dict(LLAMA)),
    "qwen2_window": (hf.Qwen2ForCausalLM, hf.Qwen2Config, dict(
        LLAMA, num_hidden_layers=3, use_sliding_window=True, sliding_window=6, max_window_layers=1)),
    "qwen3": (hf.Qwen3ForCausalLM, hf.Qwen3Config, dict(LLAMA, head_dim=16, tie_word_embeddings=True)),
    "gpt2": (hf.GPT2LMHeadModel, hf.GPT2Config, dict(
        vocab_size=VOCAB, n_positions=128, n_embd=32, n_layer=2, n_head=4, n_inner=80, bos_token_id=1,
        eos_token_id=2)),
    "gpt2_scaled": (hf.GPT2LMHeadModel, hf.GPT2Config, dict(
        vocab_size=VOCAB, n_positions=128, n_embd=32, n_layer=3, n_head=4, bos_token_id=1, eos_token_id=2,
        scale_attn_by_inverse_layer_idx=True, activation_function="relu", layer_norm_epsilon=1e-3)),
    "bert": (hf.BertModel, hf.BertConfig, dict(BERT)),
    "bert_masked": (hf.BertForMaskedLM, hf.BertConfig, dict(BERT)),
    "bert_classes": (hf.BertForSequenceClassification, hf.BertConfig, dict(BERT, num_labels=3)),
    "gpt_neox": (hf.GPTNeoXForCausalLM, hf.GPTNeoXConfig, dict(
        SMALL, intermediate_size=48, max_position_embeddings=128, rotary_pct=0.5)),
    "gpt_neox_serial": (hf.GPTNeoXForCausalLM, hf.GPTNeoXConfig, dict(
        SMALL, intermediate_size=48, max_position_embeddings=128, use_parallel_residual=False, attention_bias=False)),
    "phi": (hf.PhiForCausalLM, hf.PhiConfig, dict(LLAMA, partial_rotary_factor=0.5)),
    "phi_norms": (hf.PhiForCausalLM, hf.PhiConfig, dict(LLAMA, qk_layernorm=True)),
    "opt": (hf.OPTForCausalLM, hf.OPTConfig, dict(SMALL, ffn_dim=48, max_position_embeddings=128)),
    "opt_350m": (hf.OPTForCausalLM, hf.OPTConfig, dict(
        SMALL, ffn_dim=48, max_position_embeddings=128, word_embed_proj_dim=16, do_layer_norm_before=False)),
    "gemma2": (hf.Gemma2ForCausalLM, hf.Gemma2Config, dict(
        LLAMA, num_hidden_layers=4, head_dim=16, query_pre_attn_scalar=24, sliding_window=6,
        attn_logit_softcapping=2.0, final_logit_softcapping=3.0)),
    "mixtral": (hf.MixtralForCausalLM, hf.MixtralConfig, dict(
        LLAMA, num_local_experts=4, num_experts_per_tok=2, sliding_window=9)),
    "roberta_masked": (hf.RobertaForMaskedLM, hf.RobertaConfig, dict(BERT, type_vocab_size=1, pad_token_id=1)),
    "roberta_classes": (hf.RobertaForSequenceClassification, hf.RobertaConfig, dict(
        BERT, type_vocab_size=1, pad_token_id=1, num_labels=3)),
    "distilbert_masked": (hf.DistilBertForMaskedLM, hf.DistilBertConfig, dict(
        vocab_size=VOCAB, dim=32, n_layers=2, n_heads=4, hidden_dim=48, max_position_embeddings=128)),
    "distilbert_classes": (hf.DistilBertForSequenceClassification, hf.DistilBertConfig, dict(
        vocab_size=VOCAB, dim=32, n_layers=2, n_heads=4, hidden_dim=48, max_position_embeddings=128, num_labels=3)),
    "mamba": (hf.MambaForCausalLM, hf.MambaConfig, dict(
        vocab_size=VOCAB, hidden_size=32, state_size=4, num_hidden_layers=2, layer_norm_epsilon=1e-4,
        bos_token_id=1, eos_token_id=2, pad_token_id=0)),
    "mamba2": (hf.Mamba2ForCausalLM, hf.Mamba2Config, dict(
        vocab_size=VOCAB, hidden_size=32, state_size=6, num_hidden_layers=2, num_heads=8, head_dim=8, n_groups=2,
        chunk_size=5, layer_norm_epsilon=1e-4, bos_token_id=1, eos_token_id=2, pad_token_id=0)),
    "mamba2_biased": (hf.Mamba2ForCausalLM, hf.Mamba2Config, dict(
        vocab_size=VOCAB, hidden_size=32, state_size=6, num_hidden_layers=2, num_heads=4, head_dim=24, expand=3,
        n_groups=1, conv_kernel=3, use_bias=True, use_conv_bias=False, tie_word_embeddings=True, bos_token_id=1,
        eos_token_id=2, pad_token_id=0)),
    "t5": (hf.T5ForConditionalGeneration, hf.T5Config, dict(
        vocab_size=VOCAB, d_model=32, d_kv=6, d_ff=48, num_layers=2, num_heads=4,
        initializer_factor=0.1, relative_attention_num_buckets=8, relative_attention_max_distance=20, decoder_start_token_id=0)),
    "t5_gated": (hf.T5ForConditionalGeneration, hf.T5Config, dict(
        vocab_size=VOCAB, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, feed_forward_proj="gated-gelu", initializer_factor=0.1,
        tie_word_embeddings=False, decoder_start_token_id=0)),
    "bart": (hf.BartForConditionalGeneration, hf.BartConfig, dict(
        vocab_size=VOCAB, d_model=32, encoder_layers=2, decoder_layers=3, encoder_attention_heads=4,
        decoder_attention_heads=8, encoder_ffn_dim=48, decoder_ffn_dim=40, max_position_embeddings=128,
        scale_embedding=True, decoder_start_token_id=2, forced_eos_token_id=None)),
    "marian": (hf.MarianMTModel, hf.MarianConfig, dict(
        vocab_size=VOCAB, decoder_vocab_size=VOCAB, d_model=32, encoder_layers=2, decoder_layers=2,
        encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=48, decoder_ffn_dim=48,
        max_position_embeddings=128, scale_embedding=True, activation_function="swish", pad_token_id=VOCAB - 1,
        decoder_start_token_id=VOCAB - 1, eos_token_id=0, forced_eos_token_id=None)),
    "modernbert_masked": (hf.ModernBertForMaskedLM, hf.ModernBertConfig, dict(
        SMALL, num_hidden_layers=4, intermediate_size=48, max_position_embeddings=128, local_attention=8,
        global_attn_every_n_layers=3, cls_token_id=1, sep_token_id=2)),
    "modernbert_classes": (hf.ModernBertForSequenceClassification, hf.ModernBertConfig, dict(
        SMALL, num_hidden_layers=2, intermediate_size=48, max_position_embeddings=128, classifier_pooling="mean",
        num_labels=3, cls_token_id=1, sep_token_id=2)),
    "vit": (hf.ViTModel, hf.ViTConfig, dict(VIT, pooler_output_size=20, hidden_act="relu")),
    "vit_classes": (hf.ViTForImageClassification, hf.ViTConfig, dict(VIT, num_labels=5, qkv_bias=False)),
    "vit_oblong": (hf.ViTForImageClassification, hf.ViTConfig, dict(
        VIT, image_size=[16, 24], patch_size=[4, 8], num_channels=2, num_labels=5)),
    "deit": (hf.DeiTModel, hf.DeiTConfig, dict(VIT, pooler_act="gelu")),
    "deit_classes": (hf.DeiTForImageClassification, hf.DeiTConfig, dict(VIT, num_labels=5)),
    "deit_teacher": (hf.DeiTForImageClassificationWithTeacher, hf.DeiTConfig, dict(VIT, num_labels=5)),
    "swin": (hf.SwinModel, hf.SwinConfig, dict(SWIN, use_absolute_embeddings=True)),
    "swin_classes": (hf.SwinForImageClassification, hf.SwinConfig, dict(
        SWIN, depths=[2, 3, 1], num_heads=[2, 4, 8], num_labels=5, qkv_bias=False)),
}


# Deviation of what is added to every parameter, where it is not 0.3: so that float32 suffices, and generation does not
# stay with one token.
NOISE = {"t5": 0.4, "t5_gated": 0.4, "bart": 0.5, "marian": 0.5, "modernbert_masked": 0.2}


def configuration(name):
    _, config_class, options = MODELS[name]
    config = config_class(**options)
    config._attn_implementation = config._experts_implementation = "eager"
    return config


def make(name):
    torch.manual_seed(0)
    model = MODELS[name][0](configuration(name)).eval()
    # Wide tied embeddings and wide biases would make a model repeat one token for ever.
    table = getattr(model.get_input_embeddings(), "weight", None)
    tied = next((key for key, value in model.named_parameters() if value is table), "")
    with torch.no_grad():
        stored = dict(model.named_parameters())
        stored.update({key: value for key, value in model.named_buffers() if key == "final_logits_bias"})  # [1, vocab]
        for key, value in stored.items():
            if name == "marian" and "embed_positions" in key:
                continue
            narrow = key == tied or (value.numel() == max(value.shape) and "t5" not in name)
            value.add_(torch.randn(value.shape) * NOISE.get(name, 0.3) * (0.1 if narrow else 1))
    return model
