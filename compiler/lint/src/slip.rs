//! Names that are one slip of the pen away from each other, found without comparing every two.

use hashbrown::HashMap;
use malha_syntax::nearest;
use smol_str::SmolStr;
use std::sync::OnceLock;

/// No name that anything is called has more bytes.
const LONGEST: usize = 256;

/// A shorter piece between dots has neighbours by chance: `a1` and `a`, `eu` and `us`.
const SHORTEST_PIECE: usize = 4;

/// Names, found by what people write instead: with one letter missing, one too many, two swapped, or in another case.
///
/// Another letter in place of one is no slip here, nor is a digit more or less: names such as `api-a` and `api-b`, or
/// `db1` and `db2`, are siblings far more often.
#[derive(Debug, Default)]
pub(crate) struct Slips {
    /// By the name in lower case.
    whole: HashMap<String, SmolStr>,
    /// By the name in lower case with one letter left out.
    shorter: HashMap<String, SmolStr>,
}

impl Slips {
    /// An index of `names`; of two that are written alike the first counts.
    pub(crate) fn of<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let mut slips = Slips::default();
        for name in names.into_iter().filter(|name| name.len() <= LONGEST) {
            let folded = name.to_ascii_lowercase();
            for shorter in without_one_letter(&folded) {
                slips.shorter.entry(shorter).or_insert_with(|| name.into());
            }
            slips.whole.entry(folded).or_insert_with(|| name.into());
        }
        slips
    }

    /// The name that `written` is most likely a slip of; none if it is itself a name, or near to none.
    pub(crate) fn meant(&self, written: &str) -> Option<&SmolStr> {
        if written.len() > LONGEST {
            return None;
        }
        let folded = written.to_ascii_lowercase();
        if let Some(name) = self.whole.get(&folded) {
            return (name != written).then_some(name);
        }
        let swapped = swapped(&folded);
        let mut near = swapped.iter().filter_map(|other| self.whole.get(other));
        let longer = || without_one_letter(&folded).into_iter().find_map(|other| self.whole.get(&other));
        near.next().or_else(|| self.shorter.get(&folded)).or_else(longer)
    }
}

/// Among more names than this only slips of one letter are looked for: a mesh may name many objects in vain.
const MOST_COMPARED: usize = 256;

/// Names that others may be meant for.
#[derive(Debug, Default)]
pub(crate) struct Names {
    all: Vec<SmolStr>,
    /// Found when it is first asked for.
    slips: OnceLock<Slips>,
}

impl Names {
    /// The one that `written` is nearest to, if it is near enough; of equals the first.
    pub(crate) fn near(&self, written: &str) -> Option<&str> {
        if self.all.len() <= MOST_COMPARED {
            return nearest(written, self.all.iter().map(SmolStr::as_str));
        }
        let slips = self.slips.get_or_init(|| Slips::of(self.all.iter().map(SmolStr::as_str)));
        slips.meant(written).map(SmolStr::as_str)
    }
}

impl<N: Into<SmolStr>> FromIterator<N> for Names {
    fn from_iter<I: IntoIterator<Item = N>>(names: I) -> Self {
        Names { all: names.into_iter().map(Into::into).collect(), slips: OnceLock::new() }
    }
}

/// `name` with one letter left out, wherever its piece between dots stays long enough.
fn without_one_letter(name: &str) -> Vec<String> {
    let letters =
        name.char_indices().filter(|(at, letter)| letter.is_ascii_alphabetic() && is_in_long_piece(name, *at));
    let without = |(at, letter): (usize, char)| {
        let mut other = String::with_capacity(name.len());
        other.push_str(name.get(..at).unwrap_or_default());
        other.push_str(name.get(at + letter.len_utf8()..).unwrap_or_default());
        other
    };
    letters.map(without).collect()
}

/// `name` with two neighbouring letters swapped.
fn swapped(name: &str) -> Vec<String> {
    let mut others = Vec::new();
    let bytes = name.as_bytes();
    for (at, pair) in bytes.windows(2).enumerate() {
        let [first, second] = *pair else { continue };
        if first == second || !first.is_ascii_alphabetic() || !second.is_ascii_alphabetic() {
            continue;
        }
        if !is_in_long_piece(name, at) {
            continue;
        }
        let mut other = String::with_capacity(name.len());
        other.push_str(name.get(..at).unwrap_or_default());
        other.push(char::from(second));
        other.push(char::from(first));
        other.push_str(name.get(at + 2..).unwrap_or_default());
        others.push(other);
    }
    others
}

/// Whether the piece between dots around `at` is long enough for a slip.
fn is_in_long_piece(name: &str, at: usize) -> bool {
    let start = name.get(..at).and_then(|before| before.rfind('.')).map_or(0, |dot| dot + 1);
    let end = name.get(at..).and_then(|after| after.find('.')).map_or(name.len(), |dot| at + dot);
    end - start > SHORTEST_PIECE
}

#[cfg(test)]
mod tests {
    use super::{Names, Slips};

    #[test]
    fn among_many_names_a_slip_of_one_letter_is_found() {
        let many = || (0..1000).map(|at| format!("infra/gateway-{at}")).chain(["infra/public".to_owned()]);
        let (few, many): (Names, Names) = (many().skip(990).collect(), many().collect());
        assert_eq!(few.near("infra/pubilk"), Some("infra/public"));
        assert_eq!(many.near("infra/pubilc"), Some("infra/public"));
        assert_eq!(many.near("infra/private"), None);
    }

    #[test]
    fn a_slip_is_found_and_a_sibling_is_not() {
        let names = ["orders.shop.svc", "credit.example.com", "api-a.example.com", "db1.example.com", "eu.example.com"];
        let slips = Slips::of(names);
        for (written, meant) in [
            ("ordrs.shop.svc", Some("orders.shop.svc")),
            ("orderss.shop.svc", Some("orders.shop.svc")),
            ("odrers.shop.svc", Some("orders.shop.svc")),
            ("Orders.shop.svc", Some("orders.shop.svc")),
            ("credit.exmaple.com", Some("credit.example.com")),
            ("orders.shop.svc", None),
            ("order5.shop.svc", None),
            ("api-b.example.com", None),
            ("db2.example.com", None),
            ("db.example.com", None),
            ("us.example.com", None),
            ("ue.example.com", None),
            ("returns.shop.svc", None),
            ("", None),
            ("ördersé.shop.svc", None),
        ] {
            assert_eq!(slips.meant(written).map(smol_str::SmolStr::as_str), meant, "{written}");
        }
        assert_eq!(slips.meant(&"a".repeat(1 << 16)), None);
    }
}
