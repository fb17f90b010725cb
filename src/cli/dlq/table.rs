//! A table of text in the width of a terminal. Pure.

use std::fmt::Write as _;

/// Between two columns.
const GAP: &str = "  ";

/// Lines of a table: head and rows have as many cells each. Every column is as wide as its widest cell; the last is cut to
/// what is left of `width`, where one is given. Text from outside cannot move the cursor.
pub(super) fn lines<const N: usize>(head: [&str; N], rows: &[[String; N]], width: Option<usize>) -> Vec<String> {
    let rows: Vec<[String; N]> = std::iter::once(head.map(str::to_owned))
        .chain(rows.iter().map(|row| row.clone().map(|cell| plain(&cell))))
        .collect();
    let widest = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(widest).collect();
    rows.iter().map(|row| line(row, &widths, width)).collect()
}

fn line(cells: &[String], widths: &[usize], width: Option<usize>) -> String {
    let mut text = String::new();
    for (cell, wide) in cells.iter().zip(widths) {
        if !text.is_empty() {
            text.push_str(GAP);
        }
        write!(text, "{cell:<wide$}").expect("memory takes all text");
    }
    let text = text.trim_end();
    width.map_or_else(|| text.to_owned(), |width| cut(text, width))
}

/// At most so many characters; what is cut off is shown by an ellipsis.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    if width > 0 {
        short.push('…');
    }
    short
}

/// The text without line breaks and other characters that a terminal would obey.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if is_shown(c) { c } else { '·' }).collect()
}

/// Marks of direction are no control characters, and can still make a line read as what it is not.
fn is_shown(c: char) -> bool {
    !(c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn columns_stand_under_each_other_and_the_last_is_cut() {
        let rows = [["0:1".into(), "a long message".into()], ["12:345".into(), "short".into()]];
        assert_eq!(
            lines(["AT", "MESSAGE"], &rows, None),
            ["AT      MESSAGE", "0:1     a long message", "12:345  short"]
        );
        assert_eq!(lines(["AT", "MESSAGE"], &rows, Some(14)), ["AT      MESSA…", "0:1     a lon…", "12:345  short"]);
    }

    proptest! {
        #[test]
        fn no_line_is_wider_and_none_moves_the_cursor(rows in proptest::collection::vec(any::<(String, String)>(), 0..5), width in 0..60usize) {
            let rows: Vec<[String; 2]> = rows.into_iter().map(|(a, b)| [a, b]).collect();
            let lines = lines(["A", "B"], &rows, Some(width));
            prop_assert_eq!(lines.len(), rows.len() + 1);
            for line in lines {
                prop_assert!(line.chars().count() <= width);
                prop_assert!(line.chars().all(is_shown));
            }
        }
    }
}
