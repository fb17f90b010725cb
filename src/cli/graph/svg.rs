//! A graph as a picture in SVG: boxes in layers, placed by the `layout` crate, drawn here.

use std::fmt::Write;

use layout::core::base::Orientation;
use layout::core::color::Color;
use layout::core::format::{ClipHandle, RenderBackend};
use layout::core::geometry::Point;
use layout::core::style::{LineStyleKind, StyleAttr};
use layout::std_shapes::shapes::{Arrow, Element, LineEndKind, ShapeKind};
use layout::topo::layout::VisualGraph;

use super::picture::{Picture, Shape};

/// Height of the text, of a line, and the width of a character, on average.
const FONT: f64 = 13.0;
const LINE: f64 = 17.0;
const CHARACTER: f64 = 8.5;
/// The layout leaves a square of this size for each character of a label.
const LABEL: usize = 8;
const MARGIN: f64 = 10.0;

/// Draws it.
pub(super) fn draw(picture: &Picture) -> String {
    let mut graph = VisualGraph::new(Orientation::TopToBottom);
    let mut handles = Vec::with_capacity(picture.nodes.len());
    for node in &picture.nodes {
        let lines: Vec<&str> = node.lines().collect();
        let longest = lines.iter().map(|line| line.chars().count()).max().unwrap_or_default();
        let size = Point::new(longest as f64 * CHARACTER + 2.0 * MARGIN, lines.len() as f64 * LINE + MARGIN);
        let shape = ShapeKind::new_box(&lines.join("\n"));
        let element = Element::create(shape, look(node.shape), Orientation::TopToBottom, size);
        handles.push(graph.add_node(element));
    }
    for (node, handle) in picture.nodes.iter().zip(&handles) {
        let Some(way) = &node.way else { continue };
        let line = if way.faint { LineStyleKind::Dashed } else { LineStyleKind::Normal };
        let look = StyleAttr::new(Color::fast("black"), 1, None, 0, LABEL);
        let arrow = Arrow::new(LineEndKind::None, LineEndKind::Arrow, line, &way.label, &look, &None, &None);
        graph.add_edge(arrow, handles[way.parent], *handle);
    }
    let mut canvas = Canvas::default();
    // Without its search for fewer crossings: a tree in this order has none, and the search is slow.
    graph.do_it(false, true, false, &mut canvas);
    canvas.finish(&picture.title)
}

fn look(shape: Shape) -> StyleAttr {
    let (fill, rounded) = match shape {
        Shape::Model => ("white", 0),
        Shape::Router => ("lightyellow", 12),
        Shape::Combiner => ("honeydew", 12),
        Shape::Transformer => ("aliceblue", 0),
    };
    StyleAttr::new(Color::fast("black"), 1, Some(Color::fast(fill)), rounded, LABEL)
}

/// Takes what is drawn, and how large it is.
#[derive(Default)]
struct Canvas {
    /// Below everything else.
    arrows: String,
    content: String,
    right: f64,
    bottom: f64,
}

impl Canvas {
    fn covers(&mut self, x: f64, y: f64) {
        self.right = self.right.max(x);
        self.bottom = self.bottom.max(y);
    }

    fn put(&mut self, element: std::fmt::Arguments<'_>) {
        writeln!(self.content, "{element}").expect("memory takes all text");
    }

    fn finish(self, title: &str) -> String {
        let (width, height) = (self.right + MARGIN, self.bottom + MARGIN);
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
             viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"sans-serif\" font-size=\"{FONT}\">\n\
             <title>{}</title>\n\
             <defs><marker id=\"end\" markerWidth=\"10\" markerHeight=\"8\" refX=\"9\" refY=\"4\" orient=\"auto\">\
             <path d=\"M 0 0 L 10 4 L 0 8 z\"/></marker></defs>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{}{}</svg>\n",
            escaped(title),
            self.arrows,
            self.content
        )
    }
}

impl RenderBackend for Canvas {
    fn draw_rect(&mut self, xy: Point, size: Point, look: &StyleAttr, _: Option<String>, _: Option<ClipHandle>) {
        self.covers(xy.x + size.x, xy.y + size.y);
        let fill = look.fill_color.map(|color| color.to_web_color());
        // Without its opacity, which not every reader of SVG knows.
        let fill = fill.as_deref().and_then(|fill| fill.get(..7)).unwrap_or("none");
        self.put(format_args!(
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"{}\" fill=\"{fill}\" stroke=\"black\"/>",
            xy.x, xy.y, size.x, size.y, look.rounded
        ));
    }

    fn draw_line(&mut self, start: Point, stop: Point, _: &StyleAttr, _: Option<String>) {
        for end in [start, stop] {
            self.covers(end.x, end.y);
        }
        self.put(format_args!(
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"black\"/>",
            start.x, start.y, stop.x, stop.y
        ));
    }

    fn draw_circle(&mut self, xy: Point, size: Point, _: &StyleAttr, _: Option<String>) {
        self.covers(xy.x + size.x / 2.0, xy.y + size.y / 2.0);
        self.put(format_args!(
            "<ellipse cx=\"{:.1}\" cy=\"{:.1}\" rx=\"{:.1}\" ry=\"{:.1}\" fill=\"none\" stroke=\"black\"/>",
            xy.x,
            xy.y,
            size.x / 2.0,
            size.y / 2.0
        ));
    }

    fn draw_text(&mut self, xy: Point, text: &str, _: &StyleAttr) {
        let lines = text.lines().count() as f64;
        for (index, line) in text.lines().enumerate() {
            // A line stands on its foot: a third of its height lies below its middle.
            let y = xy.y + (index as f64 - (lines - 1.0) / 2.0) * LINE + FONT / 3.0;
            self.covers(xy.x, y);
            let style = match (index, lines > 1.0) {
                (0, true) => " font-weight=\"bold\"",
                (_, true) => "",
                // A label stands on its arrow.
                (_, false) => " stroke=\"white\" stroke-width=\"4\" paint-order=\"stroke\"",
            };
            self.put(format_args!(
                "<text x=\"{:.1}\" y=\"{y:.1}\" text-anchor=\"middle\"{style}>{}</text>",
                xy.x,
                escaped(line)
            ));
        }
    }

    fn draw_arrow(
        &mut self,
        path: &[(Point, Point)],
        dashed: bool,
        head: (bool, bool),
        _: &StyleAttr,
        _: Option<String>,
        _: &str,
    ) {
        let [from, to, rest @ ..] = path else { return };
        let mut line = format!("M {} C {}, {}, {}", at(from.0), at(from.1), at(to.0), at(to.1));
        for (control, end) in rest {
            write!(line, " S {}, {}", at(*control), at(*end)).expect("memory takes all text");
        }
        for (one, other) in path {
            self.covers(one.x.max(other.x), one.y.max(other.y));
        }
        let pattern = if dashed { " stroke-dasharray=\"5,5\"" } else { "" };
        let end = if head.1 { " marker-end=\"url(#end)\"" } else { "" };
        writeln!(self.arrows, "<path d=\"{line}\" fill=\"none\" stroke=\"black\"{pattern}{end}/>")
            .expect("memory takes all text");
    }

    fn create_clip(&mut self, _: Point, _: Point, _: usize) -> ClipHandle {
        0
    }
}

fn at(point: Point) -> String {
    format!("{:.1} {:.1}", point.x, point.y)
}

/// Text as XML takes it. What XML cannot hold at all is replaced.
fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut text, c| {
        match c {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '\u{fffe}' | '\u{ffff}' => text.push('\u{fffd}'),
            c => text.push(c),
        }
        text
    })
}
