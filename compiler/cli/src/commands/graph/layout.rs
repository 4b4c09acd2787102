//! Where nodes stand: in columns from left to right, ordered so that few lines cross, as high as their neighbours.
//!
//! A line that passes over columns has a place of its own in each of them, so it goes between the nodes.

/// Widths and heights, in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Size {
    pub(super) width: f64,
    pub(super) height: f64,
}

/// A box: its left upper corner, and its size.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Place {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) size: Size,
}

/// Where everything stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    /// Of each node.
    pub(super) places: Vec<Place>,
    /// Of each edge, the boxes that it passes on its way, in order.
    pub(super) passes: Vec<Vec<Place>>,
    /// Of everything.
    pub(super) size: Size,
}

const MARGIN: f64 = 20.0;
const BETWEEN_COLUMNS: f64 = 110.0;
const BETWEEN_ROWS: f64 = 14.0;
/// Height of what a line needs in a column that it passes.
const PASS: f64 = 4.0;
/// How often columns are ordered and moved anew, each time once from the left and once from the right.
const SWEEPS: usize = 6;

/// Something with a place in a column: a node, or an edge that passes.
struct Item {
    size: Size,
    column: usize,
    before: Vec<usize>,
    after: Vec<usize>,
    /// Its middle.
    y: f64,
}

/// Lays out nodes, given by column and size, and edges between their numbers, each to a later column.
pub(super) fn layout(nodes: &[(usize, Size)], edges: &[(usize, usize)]) -> Layout {
    let mut used: Vec<usize> = nodes.iter().map(|(column, _)| *column).collect();
    used.sort_unstable();
    used.dedup();
    let mut items: Vec<Item> = nodes
        .iter()
        .map(|(column, size)| Item {
            size: *size,
            column: used.partition_point(|known| known < column),
            before: Vec::new(),
            after: Vec::new(),
            y: 0.0,
        })
        .collect();
    let passes: Vec<Vec<usize>> = edges.iter().map(|(from, to)| join(&mut items, *from, *to)).collect();
    let mut columns: Vec<Vec<usize>> = vec![Vec::new(); used.len()];
    for (number, item) in items.iter().enumerate() {
        if let Some(column) = columns.get_mut(item.column) {
            column.push(number);
        }
    }
    order(&mut columns, &items);
    raise(&columns, &mut items);

    let top = items.iter().map(|item| item.y - item.size.height / 2.0).fold(f64::INFINITY, f64::min);
    let mut left = MARGIN;
    let mut size = Size { width: 2.0 * MARGIN, height: 2.0 * MARGIN };
    let mut places = vec![Place::default(); items.len()];
    for column in &columns {
        let width = column.iter().map(|item| items[*item].size.width).fold(0.0, f64::max);
        for number in column {
            let item = &items[*number];
            let y = item.y - item.size.height / 2.0 - top + MARGIN;
            // As wide as the column, so that no line begins behind a wider node.
            places[*number] = Place { x: left, y, size: Size { width, ..item.size } };
            size.height = size.height.max(y + item.size.height + MARGIN);
        }
        size.width = left + width + MARGIN;
        left += width + BETWEEN_COLUMNS;
    }
    let passes = passes.into_iter().map(|items| items.into_iter().map(|item| places[item]).collect()).collect();
    places.truncate(nodes.len());
    Layout { places, passes, size }
}

/// Adds an edge, with an item in each column that it passes; tells these.
fn join(items: &mut Vec<Item>, from: usize, to: usize) -> Vec<usize> {
    let (first, last) = (items[from].column, items[to].column);
    let mut passes = Vec::new();
    let mut before = from;
    for column in first + 1..last {
        let number = items.len();
        let size = Size { width: 0.0, height: PASS };
        items.push(Item { size, column, before: vec![before], after: Vec::new(), y: 0.0 });
        items[before].after.push(number);
        passes.push(number);
        before = number;
    }
    items[before].after.push(to);
    items[to].before.push(before);
    passes
}

/// Orders each column by the middle of its items' neighbours.
fn order(columns: &mut [Vec<usize>], items: &[Item]) {
    let mut rank: Vec<f64> = vec![0.0; items.len()];
    let remember = |column: &[usize], rank: &mut [f64]| {
        for (at, item) in column.iter().enumerate() {
            rank[*item] = f64::from(at as u32);
        }
    };
    for column in columns.iter() {
        remember(column, &mut rank);
    }
    for _ in 0..SWEEPS {
        for from_left in [true, false] {
            let count = columns.len();
            for step in 0..count {
                let column = &mut columns[if from_left { step } else { count - 1 - step }];
                let middle = |item: &usize| {
                    let neighbours = if from_left { &items[*item].before } else { &items[*item].after };
                    mean(neighbours.iter().map(|neighbour| rank[*neighbour])).unwrap_or(rank[*item])
                };
                let mut keyed: Vec<(f64, usize)> = column.iter().map(|item| (middle(item), *item)).collect();
                // Stable: what has one middle stays in the order of its names.
                keyed.sort_by(|(left, _), (right, _)| left.total_cmp(right));
                *column = keyed.into_iter().map(|(_, item)| item).collect();
                remember(column, &mut rank);
            }
        }
    }
}

/// Moves items to the height of their neighbours, as far as those above and below let them.
fn raise(columns: &[Vec<usize>], items: &mut [Item]) {
    for column in columns {
        spread(column, items, |_, _| Some(0.0));
    }
    for _ in 0..SWEEPS {
        for from_left in [true, false] {
            for step in 0..columns.len() {
                let column = &columns[if from_left { step } else { columns.len() - 1 - step }];
                spread(column, items, |items, item| {
                    let neighbours = if from_left { &items[item].before } else { &items[item].after };
                    mean(neighbours.iter().map(|neighbour| items[*neighbour].y))
                });
            }
        }
    }
}

/// Places a column as near as can be to where its items want to be: items that get in each other's way move together.
fn spread(column: &[usize], items: &mut [Item], wanted: impl Fn(&[Item], usize) -> Option<f64>) {
    /// Items that touch: the sum of where they want the first to be, how many they are, and how many items those are.
    struct Block {
        sum: f64,
        count: f64,
        items: usize,
    }
    let mut offsets = Vec::with_capacity(column.len());
    let mut offset = 0.0;
    let mut blocks: Vec<Block> = Vec::new();
    for (at, item) in column.iter().enumerate() {
        if let Some(above) = at.checked_sub(1).and_then(|above| column.get(above)) {
            offset += f64::midpoint(items[*above].size.height, items[*item].size.height) + BETWEEN_ROWS;
        }
        offsets.push(offset);
        let target = wanted(items, *item).unwrap_or(items[*item].y);
        blocks.push(Block { sum: target - offset, count: 1.0, items: 1 });
        while let [.., above, below] = blocks.as_slice()
            && above.sum / above.count > below.sum / below.count
        {
            let merged = Block {
                sum: above.sum + below.sum,
                count: above.count + below.count,
                items: above.items + below.items,
            };
            blocks.truncate(blocks.len() - 2);
            blocks.push(merged);
        }
    }
    let starts = blocks.iter().flat_map(|block| std::iter::repeat_n(block.sum / block.count, block.items));
    for ((item, offset), start) in column.iter().zip(offsets).zip(starts) {
        items[*item].y = start + offset;
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    (count > 0.0).then(|| sum / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOX: Size = Size { width: 100.0, height: 30.0 };

    #[test]
    fn nodes_do_not_overlap_and_lines_go_to_the_right() {
        let nodes: Vec<(usize, Size)> = [0, 1, 1, 1, 2, 2, 5].map(|column| (column, BOX)).to_vec();
        let edges = [(0, 1), (0, 2), (0, 3), (1, 5), (2, 5), (3, 4), (0, 6), (4, 6)];
        let layout = layout(&nodes, &edges);
        for (number, place) in layout.places.iter().enumerate() {
            assert!(place.x >= MARGIN && place.y >= MARGIN, "{place:?}");
            assert!(place.x + BOX.width <= layout.size.width && place.y + BOX.height <= layout.size.height);
            for other in layout.places.iter().skip(number + 1).filter(|other| (other.x - place.x).abs() < 1.0) {
                assert!((other.y - place.y).abs() >= BOX.height + BETWEEN_ROWS - 0.001, "{place:?} {other:?}");
            }
        }
        for (from, to) in edges {
            assert!(layout.places[from].x + BOX.width < layout.places[to].x);
        }
        // Empty columns take no room, and the long edge passes the two that are left.
        assert_eq!(layout.passes.iter().map(Vec::len).collect::<Vec<_>>(), [0, 0, 0, 0, 0, 0, 2, 0]);
    }

    #[test]
    fn lines_that_need_not_cross_do_not() {
        let nodes: Vec<(usize, Size)> = [0, 0, 1, 1].map(|column| (column, BOX)).to_vec();
        let layout = layout(&nodes, &[(0, 3), (1, 2)]);
        let higher = |left: usize, right: usize| layout.places[left].y < layout.places[right].y;
        assert_eq!(higher(0, 1), higher(3, 2));
    }

    #[test]
    fn nothing_is_a_page_too() {
        assert_eq!(layout(&[], &[]).size, Size { width: 2.0 * MARGIN, height: 2.0 * MARGIN });
    }
}
