//! Random lists of predicates over small alphabets.

use malha_algebra::{Condition, Field, PathTest, Predicate, ValueTest, re2::Pattern};

/// A stream of numbers, the same for the same seed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    pub(crate) fn list(&mut self) -> Vec<Predicate> {
        let length = 2 + self.below(5);
        // Few fields in a list: rules that never meet prove little.
        let fields: Vec<usize> = (0..2).map(|_| self.below(7)).collect();
        (0..length).map(|_| self.predicate(&fields)).collect()
    }

    fn predicate(&mut self, fields: &[usize]) -> Predicate {
        let path = if self.below(3) == 0 { PathTest::Any } else { self.path() };
        let count = self.below(3);
        let conditions = (0..count).map(|_| {
            let field = self.one(fields);
            self.condition(field)
        });
        Predicate { path, conditions: conditions.collect(), ..Predicate::any() }
    }

    fn path(&mut self) -> PathTest {
        let value = self.one(&["/", "/a", "/b", "/A", "/a/", "/ab", "/a/b", "/aa", ""]).into();
        let ignore_case = self.below(4) == 0;
        match self.below(5) {
            0 | 1 => PathTest::Exact { value, ignore_case },
            2 | 3 => PathTest::Prefix { value, ignore_case },
            _ => PathTest::Regex(pattern(self.one(&["/a.*", "/[ab]", "/.*b", "/(a|b)*", "/a?", ".*", "/[^a].*", "b"]))),
        }
    }

    fn condition(&mut self, field: usize) -> Condition {
        let negated = self.below(3) == 0;
        let header = |name: &str| Field::Header(name.into());
        let (field, negated) = match field {
            0 => (Field::Method, false),
            1 | 2 => (header("x"), negated),
            3 => (header("joined"), negated),
            4 => (Field::Query("q".into()), false),
            5 => (Field::PathWithQuery, negated),
            _ => (header(self.one(&["hidden", "y"])), negated),
        };
        let test = match field {
            Field::Method => ValueTest::Exact(self.one(&["GET", "POST", "PUT", "get"]).into()),
            Field::PathWithQuery => match self.below(3) {
                0 => ValueTest::Exact(self.one(&["/", "/a", "/a?q=a", "/?q", "/b?q=b"]).into()),
                1 => ValueTest::Prefix(self.one(&["/", "/a", "/a?", "/?q=a"]).into()),
                _ => ValueTest::Regex(pattern(self.one(&[r"/a\?q=.*", r"[^?]*", r".*q=a.*", r"/.\?.*"]))),
            },
            _ => match self.below(4) {
                0 => ValueTest::Present,
                1 => ValueTest::Exact(self.one(&["a", "b", "", "ab"]).into()),
                2 => ValueTest::Prefix(self.one(&["a", "b", "ab"]).into()),
                _ => ValueTest::Regex(pattern(self.one(&["a.*", "[ab]", ".*", "a?", "(ab)+", ".*b"]))),
            },
        };
        Condition { field, test, negated }
    }
}

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).expect("a pattern")
}
