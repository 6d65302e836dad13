'use strict';
(() => {
  const dark = matchMedia('(prefers-color-scheme: dark)');

  // The charts take their colours from the page's style.
  function theme() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue('--' + name).trim();
    const [text, faint, line] = ['text', 'faint', 'line'].map(colour);
    return {
      background: 'transparent',
      font: getComputedStyle(document.body).fontFamily,
      view: {stroke: 'transparent'},
      axis: {
        labelColor: faint, titleColor: text, gridColor: line, domainColor: line, tickColor: line,
        labelFontSize: 12, titleFontSize: 13, titleFontWeight: 500, titlePadding: 10, tickCount: 8,
      },
      legend: {symbolBaseFillColor: faint, symbolBaseStrokeColor: faint, labelColor: text, titleColor: faint, labelFontSize: 12, titleFontSize: 12, titleFontWeight: 500},
      style: {
        front: {color: faint, stroke: faint},
        label: {color: text, fill: text, fontSize: 12},
        mark: {color: text, stroke: text, strokeWidth: 1.8},
        mark_label: {color: text, fill: text, fontSize: 12, fontWeight: 600},
      },
      text: {color: text},
    };
  }

  async function draw(view) {
    if (view.hidden) return;
    const spec = JSON.parse(view.querySelector('script').textContent);
    const plot = view.querySelector('.plot');
    try {
      await vegaEmbed(plot, spec, {
        mode: 'vega-lite', renderer: 'svg', ast: true, config: theme(),
        tooltip: {theme: dark.matches ? 'dark' : 'light'},
        actions: {export: true, source: false, compiled: false, editor: false},
      });
    } catch (error) {
      plot.textContent = 'This chart could not be drawn: ' + error.message;
    }
  }

  const figures = [...document.querySelectorAll('figure.chart')];
  const drawAll = () => document.querySelectorAll('figure.chart .view').forEach(draw);
  for (const figure of figures) {
    const views = [...figure.querySelectorAll('.view')];
    const selector = figure.querySelector('select');
    // A chart takes its width when it is drawn, so a hidden one waits until it is chosen.
    const choose = () => views.forEach((view, index) => { view.hidden = index !== (selector?.selectedIndex ?? 0); });
    choose();
    selector?.addEventListener('change', () => { choose(); views.forEach(draw); });
    const hint = document.createElement('div');
    hint.className = 'hint';
    hint.textContent = 'Drag to pan, Ctrl + wheel to zoom, double-click to reset. ' +
        'Click a legend entry to single it out, Shift-click to add another.';
    figure.append(hint);
  }
  dark.addEventListener('change', drawAll);
  drawAll();

  // Missing numbers stay at the end whichever way the rows are sorted.
  function compare(a, b, sign) {
    const [left, right] = [a, b].map((cell) => cell.dataset.value);
    if (left === undefined) return sign * a.textContent.localeCompare(b.textContent, undefined, {numeric: true});
    if (left === '' || right === '') return (left === '') - (right === '');
    return sign * (Number(left) - Number(right));
  }

  function sortBy(table, heading) {
    const ascending = heading.getAttribute('aria-sort') !== 'ascending';
    for (const other of table.tHead.rows[0].cells) other.removeAttribute('aria-sort');
    heading.setAttribute('aria-sort', ascending ? 'ascending' : 'descending');
    const at = heading.cellIndex;
    const rows = [...table.tBodies[0].rows];
    rows.sort((a, b) => compare(a.cells[at], b.cells[at], ascending ? 1 : -1));
    table.tBodies[0].append(...rows);
  }

  for (const section of document.querySelectorAll('section.table')) {
    const table = section.querySelector('table');
    for (const heading of table.tHead.rows[0]?.cells ?? []) {
      heading.querySelector('button').addEventListener('click', () => sortBy(table, heading));
    }
    const filter = section.querySelector('input');
    filter?.addEventListener('input', () => {
      const wanted = filter.value.toLowerCase();
      for (const row of table.tBodies[0].rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
    });
  }
})();
