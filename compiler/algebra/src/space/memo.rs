//! What was found out, as far as there is room for it.

use hashbrown::HashMap;
use smallvec::SmallVec;

/// Numbers of tests, sorted.
pub(super) type Ids = SmallVec<[u32; 4]>;

/// A question about one axis: which tests its values must pass, and which they must not.
pub(super) type Question = (u32, Ids, Ids);

/// Answers by question. Memory is bounded, whatever is asked.
#[derive(Debug)]
pub(super) struct Memo<T> {
    answers: HashMap<Question, T>,
    /// Numbers in all questions that are kept, and what the answers take.
    size: usize,
}

/// More numbers than these are not kept.
const MOST: usize = 2_000_000;

/// What a question takes besides its numbers, counted in numbers.
const EACH: usize = 24;

impl<T> Default for Memo<T> {
    fn default() -> Self {
        Memo { answers: HashMap::default(), size: 0 }
    }
}

/// What an answer takes, counted in numbers of four bytes.
pub(super) trait Weight {
    fn weight(&self) -> usize;
}

impl<T: Clone + Weight> Memo<T> {
    pub(super) fn get(&self, question: &Question) -> Option<T> {
        self.answers.get(question).cloned()
    }

    pub(super) fn insert(&mut self, question: Question, answer: T) {
        let size = EACH + question.1.len() + question.2.len() + answer.weight();
        if self.size + size > MOST {
            self.clear();
        }
        self.size += size;
        self.answers.insert(question, answer);
    }

    pub(super) fn clear(&mut self) {
        self.answers.clear();
        self.size = 0;
    }
}
