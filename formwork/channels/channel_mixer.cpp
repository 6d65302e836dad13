#include "formwork/channels/channel_mixer.h"

namespace formwork {

FORMWORK_KIND(ChannelMixer);

}  // namespace formwork
