//! Colours: by class in a document, light and dark; or baked into a picture that stands alone.

/// Which background a picture is seen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theme {
    /// Dark ink on white.
    Light,
    /// Light ink on nearly black.
    Dark,
}

/// A colour that rules name as `var(--plot-NAME)`.
struct Colour {
    name: &'static str,
    light: &'static str,
    dark: &'static str,
}

/// Baseline and window differ in lightness and hue for every kind of colour vision; levels differ in
/// lightness too.
const COLOURS: [Colour; 11] = [
    colour("surface", "#ffffff", "#0d1117"),
    colour("ink", "#1b1f24", "#e6edf3"),
    colour("soft", "#57606a", "#9aa4af"),
    colour("grid", "#dde2e8", "#2b3138"),
    colour("reference", "#4f5b67", "#aab4be"),
    colour("window", "#0969da", "#6cb6ff"),
    colour("gap", "#a40e4c", "#ff9bce"),
    colour("ok", "#1a7f37", "#56b97a"),
    colour("warn", "#b07800", "#e3b341"),
    colour("alarm", "#b3130b", "#ff7b72"),
    colour("track", "#d6e6f5", "#16324a"),
];

/// What each class looks like; `var(--plot-NAME)` is a colour.
const RULES: &str = "\
.plot text{font-size:11px;fill:var(--plot-ink)}
.plot .head{font-size:12px;font-weight:bold}
.plot .tick,.plot .note{font-size:11px;fill:var(--plot-soft)}
.plot path{fill:none}
.plot .grid{stroke:var(--plot-grid)}
.plot .axis{stroke:var(--plot-soft)}
.plot .reference{stroke:var(--plot-reference);stroke-width:1.4;fill:none}
.plot .dashed{stroke-dasharray:5 3}
.plot .window{stroke:var(--plot-window);stroke-width:2;fill:none}
.plot .window-bar{fill:var(--plot-window)}
.plot .part{fill:var(--plot-window)}
.plot .thin{stroke:var(--plot-window);stroke-width:1}
.plot .dotted{stroke-dasharray:1.5 2.5}
.plot .gap{stroke:var(--plot-gap);stroke-width:2.4}
.plot .gap-text{fill:var(--plot-gap);font-weight:bold}
.plot .over{paint-order:stroke;stroke:var(--plot-surface);stroke-width:4px;stroke-linejoin:round}
.plot .tolerance{stroke:var(--plot-alarm);stroke-width:1.2;stroke-dasharray:7 3}
.plot .ok{fill:var(--plot-ok)}
.plot .warn{fill:var(--plot-warn)}
.plot .alarm{fill:var(--plot-alarm)}
.plot .none{fill:var(--plot-surface);stroke:var(--plot-soft)}
.plot .track{stroke:var(--plot-track);stroke-width:11}
.plot .level-none{stroke:var(--plot-soft);stroke-width:1.6}
.plot .level-warn{stroke:var(--plot-warn);stroke-width:5}
.plot .level-alarm{stroke:var(--plot-alarm);stroke-width:11}
";

/// Rules that only a document needs: how wide pictures grow, links, and the shading of tables.
const OF_DOCUMENTS: &str = "\
.plot{display:block;width:100%;max-width:36rem;font-family:system-ui,sans-serif}
.plot.spark{width:7.5rem;height:1.75rem}
.plot.heat{max-width:none}
.plot a text{fill:var(--plot-ink);text-decoration:underline}
.plot a:focus text{outline:2px solid var(--plot-window)}
.flips{border-collapse:collapse}
.flips td,.flips th{padding:.2rem .6rem;text-align:right;border:1px solid var(--plot-grid)}
.flips .same{font-weight:bold}
.flips .shade-1{background:color-mix(in srgb,var(--plot-gap) 10%,transparent)}
.flips .shade-2{background:color-mix(in srgb,var(--plot-gap) 22%,transparent)}
.flips .shade-3{background:color-mix(in srgb,var(--plot-gap) 36%,transparent)}
.flips .shade-4{background:color-mix(in srgb,var(--plot-gap) 50%,transparent)}
";

/// The style sheet of a document: light, and dark for those who prefer it.
pub fn style_sheet() -> String {
    format!(
        ":root{{{}}}\n@media(prefers-color-scheme:dark){{:root{{{}}}}}\n{RULES}{OF_DOCUMENTS}",
        variables(Theme::Light),
        variables(Theme::Dark)
    )
}

/// The colours of a theme as declarations, for documents that choose it by rules of their own.
pub fn variables(theme: Theme) -> String {
    COLOURS.iter().map(|colour| format!("--plot-{}:{};", colour.name, colour.on(theme))).collect()
}

/// A picture of this module with its colours, font and background inside, to stand alone.
pub fn baked(picture: &str, theme: Theme) -> String {
    let Some((opening, rest)) = picture.split_once('>') else { return String::new() };
    let mut rules = RULES.to_owned();
    let mut surface = "";
    for colour in &COLOURS {
        if colour.name == "surface" {
            surface = colour.on(theme);
        }
        rules = rules.replace(&format!("var(--plot-{})", colour.name), colour.on(theme));
    }
    format!(
        "{opening}><style>.plot text{{font-family:'DejaVu Sans',sans-serif}}\n{rules}</style><rect width=\"100%\" height=\"100%\" fill=\"{surface}\"/>{rest}"
    )
}

const fn colour(name: &'static str, light: &'static str, dark: &'static str) -> Colour {
    Colour { name, light, dark }
}

impl Colour {
    fn on(&self, theme: Theme) -> &'static str {
        match theme {
            Theme::Light => self.light,
            Theme::Dark => self.dark,
        }
    }
}
