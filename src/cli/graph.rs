//! `millrace graph`: draws the inference graph as text for people, for mermaid, or as a picture.

mod mermaid;
pub(super) mod picture;
mod svg;
mod terminal;

use super::args::{GraphArgs, GraphFormat};
use super::exit::Exit;
use super::{load, print, print_error};
use picture::Picture;

/// Draws and returns the exit code.
pub(super) fn graph(arguments: &GraphArgs) -> u8 {
    let loaded = match load::settings(&arguments.source) {
        Ok(loaded) => loaded,
        Err(faults) => {
            print_error(&load::report(&faults));
            return Exit::Configuration.into();
        }
    };
    let picture = Picture::of(&loaded.settings);
    let text = match arguments.format {
        GraphFormat::Terminal => terminal::draw(&picture),
        GraphFormat::Mermaid => mermaid::draw(&picture),
        GraphFormat::Svg => svg::draw(&picture),
    };
    let Some(file) = &arguments.output else {
        print(&text);
        return Exit::Done.into();
    };
    match std::fs::write(file, text) {
        Ok(()) => Exit::Done.into(),
        Err(error) => {
            print_error(&format!(
                "millrace: flag --output: {}: {error}; give a file that can be written",
                file.display()
            ));
            Exit::Usage.into()
        }
    }
}

#[cfg(test)]
mod tests;
