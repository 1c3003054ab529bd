"use strict";
(() => {
  const D = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const services = new Map(D.services.map((s) => [s.name, s]));
  const layers = D.layers;
  const measured = D.services.filter((s) => s.layers);
  const VIEWS = [["overview", "Overview"], ["map", "Map"], ["layers", "Layers"],
    ["history", "History"], ["rules", "Rules"]];
  const PAGE = 100;

  // Text of the fleet is never HTML: every element is made here.
  function el(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else if (value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
    }
    made.append(...children.flat().filter((each) => each !== null && each !== undefined));
    return made;
  }
  const coded = (text) => text.split("`").map((part, i) => i % 2 ? el("code", {}, part) : part);
  const mb = (n) => n === null || n === undefined ? "unmeasured"
    : Math.abs(n) >= 1e5 || n === 0
      ? (n / 1e6).toLocaleString("en", {maximumFractionDigits: 1, minimumFractionDigits: 1}) + " MB"
      : (n / 1e3).toLocaleString("en", {maximumFractionDigits: 1}) + " kB";
  const at = (...words) => "#" + words.map(encodeURIComponent).join("/");
  const link = (text, ...words) => el("a", {href: at(...words)}, text);
  const of = (name) => link(name, "map", name);
  const sum = (list) => list.reduce((a, b) => a + b, 0);
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const distinct = (names) => [...new Set(names.flatMap((s) => s.layers))];
  const size = (digest) => layers[digest].size;
  const sized = new Map(measured.map((s) => {
    const packed = s.layers.map((d) => layers[d].packed);
    return [s.name, {
      size: sum(s.layers.map(size)),
      packed: packed.includes(null) ? null : sum(packed),
      own: sum(s.layers.filter((d) => layers[d].users.length < 2).map(size)),
    }];
  }));
  const called = (digest) => {
    const part = layers[digest];
    return (part.target || "layer") + " " + digest.slice(7, 13);
  };

  // --- pieces -----------------------------------------------------------------------------------

  function paged(rows, row, head, attributes = {}) {
    const body = el("tbody");
    const more = el("button", {type: "button"});
    let shown = 0;
    const next = () => {
      body.append(...rows.slice(shown, shown + PAGE).map(row));
      shown = Math.min(rows.length, shown + PAGE);
      more.textContent = `Show more (${rows.length - shown} left)`;
      more.hidden = shown >= rows.length;
    };
    more.addEventListener("click", next);
    next();
    return [el("div", {class: "scroll", ...attributes}, el("table", {}, head, body)), more];
  }

  function table(columns, rows, order = null, descending = true) {
    const holder = el("div");
    const draw = () => {
      const sorted = order === null ? rows : [...rows].sort((a, b) => {
        const [x, y] = [columns[order].value(a), columns[order].value(b)];
        const by = typeof x === "string" ? x.localeCompare(y) : (x ?? -1) - (y ?? -1);
        return descending ? -by : by;
      });
      const head = el("thead", {}, el("tr", {}, columns.map((c, i) => el("th", {
        class: [c.n ? "n" : "", c.wide ? "wide" : ""].join(" "),
        "aria-sort": i === order ? (descending ? "descending" : "ascending") : null,
      }, c.value ? el("button", {type: "button", onclick: () => {
        descending = i === order ? !descending : Boolean(c.n);
        order = i;
        draw();
      }}, c.title + (i === order ? (descending ? " ↓" : " ↑") : "")) : c.title))));
      const row = (each) => el("tr", {}, columns.map((c) =>
        el("td", {class: [c.n ? "n" : "", c.wide ? "wide" : ""].join(" ")}, c.cell(each))));
      holder.replaceChildren(...paged(sorted, row, head));
    };
    draw();
    return holder;
  }

  const bar = (parts, most) => el("div", {class: "bar", "aria-hidden": "true"}, parts.map(([kind, value]) =>
    el("i", {class: kind, style: `width:${most ? 100 * value / most : 0}%`})));
  const key = (...kinds) => el("p", {class: "key soft"}, kinds.flatMap(([kind, text]) =>
    [el("i", {class: kind}), text]));
  const missing = (...words) => D.missing.filter((each) => !words.length || words.some((w) => each.command.startsWith(w) && w.includes("--") === each.command.includes("--")))
    .map((each) => el("p", {}, "Not recorded: " + each.what + ". ", el("code", {}, each.command), " records it."));
  const note = (lines) => lines.length ? el("div", {class: "note"}, lines) : null;

  function picker(chosen, go, everything = "the whole fleet") {
    const input = el("input", {list: "names", value: chosen, placeholder: everything, "aria-label": "Service",
      onchange: () => { if (!input.value || services.has(input.value)) go(input.value); }});
    return [el("label", {}, "Service ", input),
      el("datalist", {id: "names"}, D.services.map((s) => el("option", {value: s.name})))];
  }

  function layout(extra) {
    return {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: {color: css("fore"), family: "system-ui, sans-serif", size: 13},
      margin: {l: 0, r: 0, t: 8, b: 8}, colorway: ["shared", "own", "taken", "cold", "bad"].map(css),
      hoverlabel: {bgcolor: css("back"), font: {color: css("fore")}, bordercolor: css("line")}, ...extra,
    };
  }
  const axis = (extra) => ({gridcolor: css("line"), zerolinecolor: css("line"), automargin: true, ...extra});
  const plain = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
  function draw(height, traces, extra) {
    const place = el("div", {class: "chart", style: `height:${height}px`});
    // Drawn once it is on the page, where its width is known.
    queueMicrotask(() => {
      if (!place.isConnected) return;
      Plotly.newPlot(place, traces, layout({...extra, width: place.clientWidth, height}), {displayModeBar: false});
    });
    return place;
  }

  // --- views ------------------------------------------------------------------------------------

  function overview() {
    const all = distinct(measured);
    const alone = sum([...sized.values()].map((s) => s.size));
    const host = sum(all.map(size));
    const packed = all.map((d) => layers[d].packed);
    const most = Math.max(0, ...[...sized.values()].map((s) => s.size));
    const figures = [[D.services.length, "services"], [all.length, "distinct layers"],
      [mb(host), "on a host"], [mb(alone), "if nothing were shared"],
      [mb(packed.includes(null) ? null : sum(packed)), "on a registry"]];
    const budget = (s) => {
      const limit = s.budget.size ?? s.budget.packed;
      const value = sized.get(s.name)?.[s.budget.size === null ? "packed" : "size"];
      if (limit === null) return "";
      if (value === undefined || value === null) return mb(limit);
      return el("span", {class: value > limit ? "over" : ""}, Math.round(100 * value / limit) + " %",
        el("span", {class: "wide"}, " of " + mb(limit)));
    };
    return [
      el("div", {class: "figures"}, figures.map(([value, text]) =>
        el("div", {}, el("b", {}, String(value)), el("span", {}, text)))),
      note(missing()),
      key(["shared", "shared with other services"], ["own", "its own"]),
      table([
        {title: "Service", value: (s) => s.name, cell: (s) => of(s.name)},
        {title: "Uncompressed", n: true, value: (s) => sized.get(s.name)?.size, cell: (s) => mb(sized.get(s.name)?.size)},
        {title: "Compressed", n: true, wide: true, value: (s) => sized.get(s.name)?.packed, cell: (s) => mb(sized.get(s.name)?.packed)},
        {title: "Own", n: true, value: (s) => sized.get(s.name)?.own, cell: (s) => mb(sized.get(s.name)?.own)},
        {title: "", wide: true, cell: (s) => {
          const found = sized.get(s.name);
          return found ? bar([["shared", found.size - found.own], ["own", found.own]], most) : "";
        }},
        {title: "Budget", cell: budget},
      ], D.services, 1),
    ];
  }

  // A part of several kinds is drawn as shared or own, also where some of it is cold or taken.
  const within = new Set(["cold", "taken"]);
  const both = (a, b) => a === b || within.has(b) ? a : within.has(a) ? b : "";
  const BY = {layer: "layer", package: "package", directory: "directory"};
  function tree(scope, by, withTaken) {
    const root = {id: "", label: scope || D.project, children: new Map(), value: 0, kind: ""};
    const put = (path, value, kind) => {
      let node = root;
      node.value += value;
      for (const label of path) {
        if (!node.children.has(label)) node.children.set(label,
          {id: node.id + "/" + label, label, children: new Map(), value: 0, kind, shared: 0});
        node = node.children.get(label);
        node.value += value;
        node.kind = both(node.kind, kind);
      }
    };
    const chosen = scope ? [services.get(scope)] : measured;
    for (const digest of distinct(chosen.filter((s) => s.layers))) {
      const part = layers[digest];
      const shared = part.users.length > 1;
      const group = scope || shared ? [shared ? "shared" : "own"] : ["own", part.users[0]];
      const name = called(digest);
      const paths = {layer: (d, p) => [name, p, d], package: (d, p) => [p, name, d], directory: (d, p) => [d, p, name]};
      const versions = new Map((part.parts || []).filter((p) => p[1] === "python").map((p) => [p[2], p[2] + " " + p[3]]));
      if (!part.parts) put([...group, name], part.size, shared ? "shared" : "own");
      for (const [folder, kind, owner, version, bytes] of part.parts || []) {
        if (bytes) put([...group, ...paths[by](folder, (owner + " " + version).trim())], bytes,
          kind === "cold" ? "cold" : shared ? "shared" : "own");
      }
      if (withTaken) for (const [pass, owner, bytes] of part.taken || []) {
        if (bytes > 0) put([...group, ...(by === "layer" ? [name] : []), versions.get(owner) || owner, "taken by " + pass], bytes, "taken");
      }
    }
    return root;
  }

  function flat(root) {
    const out = {ids: [], labels: [], parents: [], values: [], colors: [], inks: []};
    const color = Object.fromEntries(["shared", "own", "cold", "taken"].map((k) => [k, css(k)]));
    const add = (node, parent) => {
      out.ids.push(node.id || "root");
      out.labels.push(plain(node.label));
      out.parents.push(parent);
      out.values.push(node.value);
      out.colors.push(color[node.kind] || css("box"));
      out.inks.push(color[node.kind] ? "#fff" : css("fore"));
      const children = [...node.children.values()].sort((a, b) => b.value - a.value);
      const rest = children.slice(60);
      for (const child of children.slice(0, 60)) add(child, node.id || "root");
      if (rest.length) add({id: node.id + "/more", label: `${rest.length} smaller`, kind: rest[0].kind,
        value: sum(rest.map((r) => r.value)), children: new Map()}, node.id || "root");
    };
    add(root, "");
    return out;
  }

  function map(scope = "", by = "layer", mode = "") {
    if (scope && !services.has(scope)) scope = "";
    if (!BY[by]) by = "layer";
    const go = (s, b, m) => { location.hash = at("map", s, b, m); };
    const service = scope && services.get(scope);
    const tools = el("div", {class: "tools"}, picker(scope, (s) => go(s, by, mode)),
      el("label", {}, "By ", el("select", {onchange: (e) => go(scope, e.target.value, mode)},
        Object.keys(BY).map((b) => el("option", {value: b, selected: b === by}, b)))),
      el("label", {}, el("input", {type: "checkbox", checked: mode === "taken",
        onchange: (e) => go(scope, by, e.target.checked ? "taken" : "")}), " with what rules took"));
    const lacks = note(missing("slimbake bake ", "slimbake sizes "));
    if (service ? !service.layers : !measured.length) return [tools, lacks];
    const nodes = flat(tree(scope, by, mode === "taken"));
    const used = distinct(service ? [service] : measured);
    const packages = new Map();
    const taken = new Map();
    for (const digest of used) {
      const part = layers[digest];
      for (const [, kind, owner, version, bytes, files] of part.parts || []) {
        const name = (owner + " " + version).trim();
        const each = packages.get(name) || {name, kind, bytes: 0, files: 0, users: new Set(), taken: 0, owner};
        each.bytes += bytes;
        each.files += files;
        part.users.forEach((u) => each.users.add(u));
        packages.set(name, each);
      }
      for (const [rule, owner, bytes, files] of part.taken || []) {
        const each = taken.get(rule) || {rule, bytes: 0, files: 0};
        each.bytes += bytes;
        each.files += files;
        taken.set(rule, each);
        for (const found of packages.values()) if (found.owner === owner) { found.taken += bytes; break; }
      }
    }
    return [
      tools,
      service ? el("p", {}, el("b", {}, scope), " ", mb(sized.get(scope).size), ", of it its own ",
        mb(sized.get(scope).own), ". Image ", el("code", {}, service.digest), ". ",
        link("History", "history", scope), ", ",
        link("layers", "layers", scope), ".") : null,
      lacks,
      key(["shared", "shared"], ["own", "own"], ["cold", "cold store: compressed code that no start needs"],
        ["taken", "taken by rules"]),
      draw(Math.max(360, Math.min(680, innerHeight - 260)), [{
        type: "treemap", ids: nodes.ids, labels: nodes.labels, parents: nodes.parents, values: nodes.values,
        branchvalues: "total", maxdepth: mode === "taken" ? 5 : 4, sort: false, text: nodes.values.map(mb), textinfo: "label+text",
        textfont: {color: nodes.inks}, insidetextfont: {color: nodes.inks}, outsidetextfont: {color: nodes.inks},
        hovertemplate: "%{id}<br>%{text}, %{percentRoot:.1%} of all<extra></extra>",
        marker: {colors: nodes.colors, line: {width: 1, color: css("back")}, pad: {t: 20, l: 3, r: 3, b: 3}},
        pathbar: {visible: true}, tiling: {pad: 2},
      }], {}),
      taken.size ? [el("h2", {}, "What rules took here"), table([
        {title: "Rule", value: (p) => p.rule, cell: (p) => link(p.rule, "rules", p.rule)},
        {title: "Less", n: true, value: (p) => p.bytes, cell: (p) => mb(p.bytes)},
        {title: "Files removed or changed", n: true, value: (p) => p.files, cell: (p) => p.files.toLocaleString("en")},
      ], [...taken.values()], 1)] : null,
      packages.size ? [el("h2", {}, "Packages and folders"), table([
        {title: "Name", value: (p) => p.name, cell: (p) => p.name},
        {title: "Kind", wide: true, value: (p) => p.kind, cell: (p) => p.kind},
        {title: "Size", n: true, value: (p) => p.bytes, cell: (p) => mb(p.bytes)},
        {title: "Passes took", n: true, value: (p) => p.taken, cell: (p) => p.taken ? mb(p.taken) : ""},
        {title: "Files", n: true, wide: true, value: (p) => p.files, cell: (p) => p.files.toLocaleString("en")},
        {title: "Services", n: true, value: (p) => p.users.size, cell: (p) => String(p.users.size)},
      ], [...packages.values()], 2)] : null,
    ].flat();
  }

  function sharing(wanted = "") {
    const layer = layers[wanted];
    const shared = distinct(measured).filter((d) => layers[d].users.length > 1)
      .sort((a, b) => layers[b].users.length - layers[a].users.length || size(b) - size(a));
    const columns = layer ? [wanted] : shared.slice(0, 40);
    const rows = layer ? layer.users.map((u) => services.get(u))
      : services.has(wanted) ? [services.get(wanted), ...measured.filter((s) => s.name !== wanted)] : measured;
    if (!measured.length) return [note(missing("slimbake bake"))];
    const head = el("thead", {}, el("tr", {}, el("th", {}, "Service"), columns.map((d) =>
      el("th", {scope: "col"}, link(called(d), "layers", d), el("br"), mb(size(d)), el("br"),
        `${layers[d].users.length} services`)), layer ? null : el("th", {}, "own layers")));
    const row = (s) => el("tr", {}, el("th", {scope: "row"}, of(s.name)), columns.map((d) =>
      el("td", {class: s.layers.includes(d) ? "c y" : "c"}, s.layers.includes(d) ? "✓" : "")),
      layer ? null : el("td", {class: sized.get(s.name).own ? "c o" : "c"}, mb(sized.get(s.name).own)));
    return [
      layer ? el("p", {}, el("b", {}, called(wanted)), ` ${mb(layer.size)}, ${layer.users.length} services. Digest `,
        el("code", {}, wanted), ". ", link("All layers", "layers")) : el("p", {}, `${shared.length} layers are in more than one image`
          + (shared.length > columns.length ? `; the ${columns.length} that most services share are shown` : "") + ". Each costs a host its bytes once."),
      el("div", {class: "matrix"}, paged(rows, row, head, {class: "scroll tall"})),
      layer && layer.parts ? [el("h2", {}, "What is in it"), table([
        {title: "Name", value: (p) => p[2], cell: (p) => (p[2] + " " + p[3]).trim()},
        {title: "Directory", value: (p) => p[0], cell: (p) => p[0]},
        {title: "Size", n: true, value: (p) => p[4], cell: (p) => mb(p[4])},
      ], layer.parts, 2)] : null,
    ].flat();
  }

  function history(scope = "") {
    if (!services.has(scope)) scope = "";
    const tools = el("div", {class: "tools"}, picker(scope, (s) => { location.hash = at("history", s); }, "the largest"));
    if (!D.history.length) return [tools, note(missing("slimbake sizes --record"))];
    const last = D.history[D.history.length - 1].sizes;
    const names = scope ? [scope] : Object.keys(last).sort((a, b) => last[b][0] - last[a][0]).slice(0, 8);
    const when = D.history.map((h) => h.when);
    const shortly = D.history.map((h) => h.commit.slice(0, 7));
    const traces = names.map((name) => ({name, mode: "lines+markers", x: when, text: shortly,
      y: D.history.map((h) => h.sizes[name] ? h.sizes[name][0] / 1e6 : null),
      hovertemplate: "%{fullData.name} %{y:,.1f} MB<br>commit %{text}<extra></extra>"}));
    const limit = scope && services.get(scope).budget.size;
    if (limit) traces.push({name: "budget", mode: "lines", x: [when[0], when[when.length - 1]], y: [limit / 1e6, limit / 1e6],
      line: {dash: "dash", color: css("bad")}, hovertemplate: "budget %{y:,.1f} MB<extra></extra>"});
    const rows = Object.keys(last).map((name) => {
      const sizes = D.history.map((h) => h.sizes[name]?.[0]).filter((v) => v !== undefined);
      return {name, now: last[name][0], packed: last[name][1], change: last[name][0] - sizes[0]};
    });
    return [
      tools,
      el("p", {}, `Sizes as ${D.history.length} commits recorded them in `, el("code", {}, "bake/sizes.json"), "."),
      draw(420, traces, {xaxis: axis({type: "date"}), yaxis: axis({title: {text: "MB uncompressed", standoff: 12}, rangemode: "tozero"}),
        legend: {orientation: "h"}, showlegend: true}),
      table([
        {title: "Service", value: (r) => r.name, cell: (r) => link(r.name, "history", r.name)},
        {title: "Latest", n: true, value: (r) => r.now, cell: (r) => mb(r.now)},
        {title: "Compressed", n: true, wide: true, value: (r) => r.packed, cell: (r) => mb(r.packed)},
        {title: "Change since the first", n: true, value: (r) => r.change, cell: (r) => (r.change > 0 ? "+" : "") + mb(r.change)},
      ], rows.filter((r) => !scope || r.name === scope), 1),
    ];
  }

  function rules(wanted = "") {
    const saved = new Map();
    for (const {target, taken} of Object.values(layers)) for (const [rule, , bytes] of taken || []) {
      const each = saved.get(rule) || {rule, bytes: 0, layers: new Set()};
      each.bytes += bytes;
      each.layers.add(target);
      saved.set(rule, each);
    }
    const known = new Map(D.rules.map((r) => [r.name, r]));
    const names = [...new Set([...known.keys(), ...saved.keys()])].filter((n) => !wanted || n === wanted);
    return [wanted ? el("p", {}, link("All rules", "rules")) : null,
      el("p", {class: "soft"}, "What makes layers smaller. A name with a path is a line of the manifest: it removes files that somebody may need."),
      table([
        {title: "Rule", value: (n) => n, cell: (n) => link(n, "rules", n)},
        {title: "What it does", cell: (n) => known.has(n) ? [known.get(n).about + ". ", el("span", {class: "soft"}, known.get(n).why)] : "removes files on request"},
        {title: "Layers", wide: true, cell: (n) => [...saved.get(n)?.layers ?? []].join(", ")},
        {title: "Saves", n: true, value: (n) => saved.get(n)?.bytes ?? 0, cell: (n) => saved.has(n) ? mb(saved.get(n).bytes) : ""},
      ], names, 3)];
  }

  // --- page -------------------------------------------------------------------------------------

  const RENDER = {overview, map, layers: sharing, history, rules};
  function show() {
    const [view, ...words] = location.hash.slice(1).split("/").map(decodeURIComponent);
    const name = RENDER[view] ? view : "overview";
    const title = VIEWS.find(([each]) => each === name)[1];
    document.title = `${D.project}: ${title}`;
    $("main").querySelectorAll(".chart").forEach((each) => Plotly.purge(each));
    $("main").replaceChildren(...RENDER[name](...words).flat().filter(Boolean));
    document.querySelectorAll("nav a").forEach((a) => a.dataset.view === name
      ? a.setAttribute("aria-current", "page") : a.removeAttribute("aria-current"));
  }

  const index = [
    ...D.services.map((s) => ["service", s.name, at("map", s.name)]),
    ...Object.keys(layers).map((d) => ["layer", called(d), at("layers", d)]),
    ...D.rules.map((r) => ["rule", r.name, at("rules", r.name)]),
    ...[...new Map(Object.entries(layers).flatMap(([d, l]) => (l.parts || []).filter((p) => p[1] === "python" || p[1] === "debian")
      .map((p) => ["package", (p[2] + " " + p[3]).trim(), at("layers", d)])).map((each) => [each[1], each])).values()],
  ];
  let selected = -1;
  function search() {
    const text = $("search").value.toLowerCase().trim();
    const found = text ? index.filter(([, name]) => name.toLowerCase().includes(text)).slice(0, 30) : [];
    selected = found.length ? 0 : -1;
    $("found").replaceChildren(...found.map(([kind, name, href], i) => el("li", {role: "none"}, el("a",
      {href, role: "option", id: "found-" + i, tabindex: "-1", "aria-selected": String(i === selected), onclick: close}, `${name} `,
      el("span", {class: "soft"}, kind)))));
    if (text && !found.length) $("found").replaceChildren(el("li", {class: "soft"}, "Nothing has this in its name."));
    $("found").hidden = !text;
    $("search").setAttribute("aria-expanded", String(Boolean(text)));
    $("search").setAttribute("aria-activedescendant", selected < 0 ? "" : "found-" + selected);
  }
  function close() {
    $("search").value = "";
    search();
  }
  function move(by) {
    const all = [...$("found").querySelectorAll("a")];
    if (!all.length) return;
    selected = (selected + by + all.length) % all.length;
    all.forEach((a, i) => a.setAttribute("aria-selected", String(i === selected)));
    all[selected].scrollIntoView({block: "nearest"});
    $("search").setAttribute("aria-activedescendant", "found-" + selected);
  }
  $("search").addEventListener("input", search);
  $("search").addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      move(event.key === "ArrowDown" ? 1 : -1);
      event.preventDefault();
    } else if (event.key === "Enter" && selected >= 0) {
      location.hash = $("found-" + selected).getAttribute("href");
      close();
      $("main").focus();
    } else if (event.key === "Escape") {
      close();
      $("search").blur();
    }
  });

  function theme(name) {
    document.documentElement.dataset.theme = name;
    show();
  }
  const turn = () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  $("theme").addEventListener("click", turn);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /INPUT|SELECT|TEXTAREA/.test(event.target.tagName)) return;
    const number = Number(event.key);
    if (event.key === "/") { $("search").focus(); event.preventDefault(); }
    else if (event.key === "t") turn();
    else if (number >= 1 && number <= VIEWS.length) { location.hash = at(VIEWS[number - 1][0]); $("main").focus(); }
  });
  document.querySelector("h1").textContent = D.project;
  document.querySelector("nav").append(...VIEWS.map(([name, title]) =>
    el("a", {href: at(name), "data-view": name}, title)));
  addEventListener("hashchange", show);
  addEventListener("resize", () => document.querySelectorAll(".chart").forEach((place) => {
    if (place.layout) Plotly.relayout(place, {width: place.clientWidth});
  }));
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", () => theme(dark.matches ? "dark" : "light"));
  theme(dark.matches ? "dark" : "light");
})();
