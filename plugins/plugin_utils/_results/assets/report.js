// SPDX-License-Identifier: GPL-3.0-or-later
// Draws the report's charts from the JSON beside it. Nothing is loaded; every text is shown as text.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const DASHES = ["solid", "dash", "dot", "dashdot"];
  const LIGHT = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#6B6B6B"];
  const DARK = ["#56B4E9", "#E69F00", "#2FBF97", "#CC79A7", "#F0E442", "#D55E00", "#A9B0B8"];
  const VERDICT = { ok: "circle", failed: "x", aborted: "square", invalid: "triangle-up" };
  const CONFIG = { displaylogo: false, responsive: true, modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]] };
  const TICKS = [{ dtickrange: [null, 999], value: "%H:%M:%S.%1f" }, { dtickrange: [999, null], value: "%H:%M:%S" }];
  let chosen = data.samples.length - 1;

  // plotly.js reads a little HTML in its texts; a host's name is none.
  const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const palette = () => (dark.matches ? DARK : LIGHT);
  const line = (i) => {
    const colours = palette();
    return { color: colours[i % colours.length], dash: DASHES[Math.floor(i / colours.length) % DASHES.length], width: 1.8 };
  };
  const micros = (value) => (Math.abs(value) >= 1000 ? [1000, "ms"] : [1, "µs"]);

  function layout(title, more) {
    const axis = {
      gridcolor: colour("--grid"), zerolinecolor: colour("--line"), linecolor: colour("--line"),
      tickcolor: colour("--line"), automargin: true,
    };
    const { xaxis = {}, yaxis = {}, ...rest } = more;
    return {
      title: { text: title, x: 0, xanchor: "left", xref: "container", y: 0.98, yanchor: "top", font: { size: 14, weight: 600 } },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: "system-ui, sans-serif", size: 12, color: colour("--ink") },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("--line"), activecolor: colour("--dim") },
      margin: { l: 62, r: 16, t: 44, b: 44 }, hovermode: "closest",
      hoverlabel: { bgcolor: colour("--card"), bordercolor: colour("--line"), font: { color: colour("--ink") } },
      xaxis: { ...axis, ...xaxis }, yaxis: { ...axis, ...yaxis }, ...rest,
    };
  }

  function draw(id, traces, shape, why) {
    const element = byId(id);
    element.classList.toggle("empty", !traces.length);
    if (!traces.length) {
      Plotly.purge(element);
      element.textContent = why;
      return;
    }
    if (!element.classList.contains("js-plotly-plot")) element.textContent = "";
    Plotly.react(element, traces, shape, CONFIG);
  }

  // Results: per grid point the samples, the median and its interval.
  function drawResults() {
    const metric = data.metrics[Number(byId("metric").value)];
    byId("metric").closest(".controls").hidden = !metric;
    if (!metric) return draw("chart-results", [], {}, "No sample is ok, so there is nothing to sum up.");
    const points = data.points.filter((point) => point.metrics[metric.name]);
    const found = points.map((point) => point.metrics[metric.name]);
    const [scale, unit] = scaleOf(metric, found.flatMap((each) => each.values));
    const y = points.map((_, i) => i);
    const spread = (i, n, k) => i + (n > 1 ? ((k % 7) - 3) * 0.05 : 0);
    const dots = { x: [], y: [], text: [], mode: "markers", type: "scatter", name: "samples", hovertemplate: "%{text}<extra></extra>",
      marker: { color: palette()[0], opacity: 0.55, size: 7, symbol: [] } };
    found.forEach((each, i) => each.values.forEach((value, k) => {
      const outlier = each.outliers.includes(k);
      dots.x.push(value / scale);
      dots.y.push(spread(i, each.values.length, k));
      dots.marker.symbol.push(outlier ? "diamond-open" : "circle");
      dots.text.push(plain(`sample ${each.samples[k]}${outlier ? " (outlier)" : ""}: ${(value / scale).toPrecision(4)} ${unit}`));
    }));
    const interval = (each, end) => (each[end] === null ? 0 : Math.abs(each[end] - each.median) / scale);
    const medians = {
      x: found.map((each) => each.median / scale), y, mode: "markers", type: "scatter", name: "median and interval",
      marker: { symbol: "line-ns-open", size: 20, line: { width: 3, color: palette()[1] }, color: palette()[1] },
      error_x: {
        type: "data", symmetric: false, array: found.map((each) => interval(each, "high")),
        arrayminus: found.map((each) => interval(each, "low")), color: palette()[1], thickness: 2, width: 6,
      },
      text: found.map((each) => plain(`median ${(each.median / scale).toPrecision(4)} ${unit}` +
        (each.low === null ? "" : `, ${(100 * each.confidence).toFixed(1)} % between ${(each.low / scale).toPrecision(4)} and ${(each.high / scale).toPrecision(4)}`))),
      hovertemplate: "%{text}<extra></extra>",
    };
    byId("better").textContent = { higher: "more is better", lower: "less is better" }[metric.better] || "";
    byId("chart-results").style.height = `${Math.min(900, 130 + 46 * points.length)}px`;
    draw("chart-results", [dots, medians], layout("", {
      margin: { l: 62, r: 16, t: 36, b: 44 }, legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom" },
      xaxis: { title: { text: plain(`${metric.name.replace(/_(bps|us|ms|s|bytes|pct)$/, "")}${unit ? ` (${unit})` : ""}`) }, rangemode: metric.unit === "bit/s" ? "tozero" : "normal" },
      yaxis: { tickvals: y, ticktext: points.map((point) => plain(point.label)), range: [points.length - 0.5, -0.5], zeroline: false },
    }), "No sample is ok.");
  }

  function scaleOf(metric, values) {
    const most = Math.max(...values.map(Math.abs), 0);
    if (metric.unit === "µs") return micros(most);
    for (const [scale, letter] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
      if (["bit/s", "B"].includes(metric.unit) && most >= scale) return [scale, letter + metric.unit];
    }
    return [1, metric.unit];
  }

  // One sample: hosts over time, on the wall clock where it is known.
  function clock(sample) {
    const wall = sample.t0_wall_ms !== null;
    return {
      at: (seconds) => (wall ? new Date(sample.t0_wall_ms + seconds * 1000).toISOString().replace("Z", "") : seconds),
      axis: wall ? { type: "date", title: { text: "time of day (UTC)" }, hoverformat: "%H:%M:%S.%3f", tickformatstops: TICKS }
        : { title: { text: "seconds after T0" } },
    };
  }

  function marks(sample, time) {
    const shapes = [], notes = [];
    if (sample.window_s) {
      const [x0, x1] = sample.window_s.map(time.at);
      shapes.push({ type: "rect", xref: "x", yref: "paper", x0, x1, y0: 0, y1: 1, fillcolor: colour("--window"), line: { width: 0 }, layer: "below" });
    }
    for (const each of sample.barriers) {
      const x = time.at(each.at_s);
      shapes.push({ type: "line", xref: "x", yref: "paper", x0: x, x1: x, y0: 0, y1: 1, line: { color: colour("--dim"), width: 1, dash: "dot" } });
    }
    // Barriers that are close together share one label above the chart, so that it can be read.
    const span = sample.edges_s ? sample.edges_s.at(-1) - sample.edges_s[0] : 1;
    const groups = [];
    for (const each of [...sample.barriers].sort((a, b) => a.at_s - b.at_s)) {
      const last = groups.at(-1);
      const name = `${each.group} ${each.state}`;
      if (last && each.at_s - last.at_s < span * 0.07) last.names.push(name);
      else groups.push({ at_s: each.at_s, names: [name] });
    }
    groups.forEach((each, i) => {
      const right = i === groups.length - 1 && groups.length > 1;
      notes.push({
        x: time.at(each.at_s), xref: "x", y: 1, yref: "paper", yanchor: "bottom", xanchor: right ? "right" : "left", showarrow: false, align: right ? "right" : "left",
        text: each.names.map(plain).join("<br>"), font: { size: 11, color: colour("--dim") }, yshift: 2,
      });
    });
    return { shapes, annotations: notes };
  }

  const stepped = (edges, values, at) => ({ x: edges.map(at), y: [...values, values.at(-1)], line: { shape: "hv" } });

  function drawSample() {
    const sample = data.samples[chosen];
    const time = clock(sample);
    const names = Object.keys(sample.hosts);
    const style = Object.fromEntries(names.map((name, i) => [name, line(i)]));
    const edges = sample.edges_s || [];
    const trace = (name, x, values, more = {}) => ({
      x, y: values, name: plain(name), mode: "lines", type: "scatter", ...more, line: { ...style[name], shape: "hv", ...more.line },
    });
    const x = edges.map(time.at);
    const hold = (values) => [...values, values.at(-1)];
    const goodput = [];
    const received = names.filter((name) => sample.hosts[name].rx_mbps);
    const sent = names.filter((name) => sample.hosts[name].tx_mbps);
    const first = received.length ? received.map((name) => sample.hosts[name].rx_mbps) : sent.map((name) => sample.hosts[name].tx_mbps);
    const gigabits = Math.max(0, ...first.flat()) >= 1000;
    const unit = gigabits ? "Gbit/s" : "Mbit/s";
    const scaled = (values) => values.map((value) => (gigabits ? value / 1000 : value));
    const about = `<b>%{fullData.name}</b>: %{y:.4g} ${unit}<extra></extra>`;
    if (received.length > 1) {
      const sum = edges.slice(1).map((_, i) => received.reduce((all, name) => all + sample.hosts[name].rx_mbps[i], 0));
      goodput.push({ x, y: hold(scaled(sum)), name: "sum of receivers", mode: "lines", type: "scatter", hovertemplate: about, line: { color: colour("--ink"), width: 2.4, shape: "hv" } });
    }
    for (const name of received) goodput.push(trace(name, x, hold(scaled(sample.hosts[name].rx_mbps)), { hovertemplate: about }));
    for (const name of sent) {
      const visible = received.length ? "legendonly" : true; // of a sample that was cut short often only the senders' bytes are known
      goodput.push(trace(`${name} (sent)`, x, hold(scaled(sample.hosts[name].tx_mbps)), { visible, hovertemplate: about, line: style[name] }));
    }
    draw("chart-goodput", goodput, layout("Goodput per host, window shaded, barriers dotted", {
      ...marks(sample, time), margin: { l: 62, r: 16, t: 92, b: 44 }, xaxis: time.axis, yaxis: { title: { text: unit }, rangemode: "tozero" },
      legend: { orientation: "v", x: 1.01, y: 1 }, showlegend: true,
    }), "No bytes over time are known for this sample.");
    const resource = (id, key, title, label) => {
      const traces = names.filter((name) => sample.hosts[name][key]).map((name) => {
        const { at, rate } = sample.hosts[name][key];
        const length = edges.at(-1) - edges[0];
        return trace(name, at.map((share) => time.at(edges[0] + share * length)), hold(rate), { hovertemplate: "<b>%{fullData.name}</b>: %{y:.3g}<extra></extra>" });
      });
      const { shapes } = marks(sample, time);
      draw(id, traces, layout(title, { shapes, xaxis: { ...time.axis, title: "" }, yaxis: { title: { text: label }, rangemode: "tozero" }, showlegend: false }),
        `${title}: no counter on these hosts.`);
    };
    resource("chart-cpu", "cpu_cores", "CPU of the benchmark's processes", "cores");
    resource("chart-retransmits", "retransmits_per_s", "TCP retransmits of the host", "segments/s");
    drawStarts(sample);
    drawSkew();
    say(sample);
  }

  function drawStarts(sample) {
    const [scale, unit] = micros(Math.max(0, ...sample.starts.map((each) => Math.abs(each.after_t0_us))));
    const traces = !sample.starts.length ? [] : [{
      x: sample.starts.map((each) => each.after_t0_us / scale), y: sample.starts.map((each) => plain(each.host)), mode: "markers", type: "scatter",
      marker: { size: 8, color: palette()[0] }, hovertemplate: `%{y}: %{x:.4g} ${unit}<extra></extra>`,
      error_x: { type: "data", array: sample.starts.map((each) => each.error_us / scale), color: palette()[0], thickness: 1.5, width: 5 },
    }];
    draw("chart-starts", traces, layout("Start of each host after T0, with error", {
      xaxis: { title: { text: unit }, rangemode: "tozero" }, yaxis: { type: "category", autorange: "reversed" }, showlegend: false,
    }), "No start is known for this sample.");
  }

  function drawSkew() {
    const known = data.samples.map((each, i) => ({ ...each, i })).filter((each) => each.start_skew_us !== null);
    const [scale, unit] = micros(Math.max(0, ...known.map((each) => each.start_skew_us)));
    const traces = !known.length ? [] : [{
      x: known.map((each) => each.i), y: known.map((each) => each.start_skew_us / scale), mode: "markers", type: "scatter",
      text: known.map((each) => plain(`sample ${each.key}, ${each.verdict}`)), hovertemplate: `%{text}: %{y:.4g} ${unit}<extra></extra>`,
      error_y: { type: "data", array: known.map((each) => (each.start_skew_error_us || 0) / scale), color: colour("--dim"), thickness: 1.2, width: 4 },
      marker: {
        size: known.map((each) => (each.i === chosen ? 12 : 8)), symbol: known.map((each) => VERDICT[each.verdict] || "circle"),
        color: known.map((each) => palette()[each.verdict === "ok" ? 0 : 1]),
        line: { width: known.map((each) => (each.i === chosen ? 2 : 0)), color: colour("--ink") },
      },
    }];
    const few = known.length <= 24;
    draw("chart-skew", traces, layout("Start skew of every sample, with error", {
      xaxis: { title: { text: "sample" }, zeroline: false, ...(few ? { tickvals: known.map((each) => each.i), ticktext: known.map((each) => plain(each.key)) } : {}) },
      yaxis: { title: { text: unit }, rangemode: "tozero" }, showlegend: false,
    }), "No start skew is known.");
  }

  function say(sample) {
    const badge = document.createElement("span");
    badge.className = `badge ${sample.verdict}`;
    badge.textContent = sample.verdict;
    const words = document.createElement("span");
    words.className = "dim";
    words.textContent = ` ${sample.point}`;
    byId("said").replaceChildren(badge, words);
    byId("before").disabled = chosen === 0;
    byId("next").disabled = chosen === data.samples.length - 1;
    byId("sample").value = String(chosen);
  }

  function choose(index) {
    if (!data.samples.length) return;
    chosen = Math.max(0, Math.min(data.samples.length - 1, index));
    drawSample();
  }

  function option(text, value) {
    const element = document.createElement("option");
    element.textContent = text;
    element.value = String(value);
    return element;
  }

  function start() {
    data.metrics.forEach((metric, i) => byId("metric").append(option(metric.name, i)));
    byId("metric").value = String(Math.max(0, data.metrics.findIndex((metric) => metric.name === "goodput_bps")));
    byId("metric").addEventListener("change", drawResults);
    if (data.samples.length) {
      data.samples.forEach((each, i) => byId("sample").append(option(`${each.key} · ${each.verdict} · ${each.point}`, i)));
      byId("sample").addEventListener("change", (event) => choose(Number(event.target.value)));
      byId("before").addEventListener("click", () => choose(chosen - 1));
      byId("next").addEventListener("click", () => choose(chosen + 1));
      document.addEventListener("click", (event) => {
        const key = event.target.dataset ? event.target.dataset.sample : undefined;
        if (key !== undefined) choose(data.samples.findIndex((each) => each.key === key));
      });
      const good = data.samples.findIndex((each) => each.verdict === "ok");
      chosen = good < 0 ? 0 : good;
    }
    const all = () => { drawResults(); if (data.samples.length) drawSample(); };
    dark.addEventListener("change", all);
    all();
    document.documentElement.dataset.drawn = String(document.querySelectorAll(".js-plotly-plot").length);
  }

  start();
})();
