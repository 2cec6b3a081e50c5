//! The tables that commands print: without lines, numbers aligned to the right.

use std::ops::Range;

use comfy_table::{CellAlignment, Table, presets};

/// A table with this header. `numbers` is the range of columns that hold numbers.
pub(crate) fn table<const N: usize>(header: [&str; N], numbers: Range<usize>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header);
    for column in numbers {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
