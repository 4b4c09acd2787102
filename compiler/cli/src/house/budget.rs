//! What a condition may cost: a number of steps, the same on every machine.
//!
//! CEL always ends, but loops in loops, and texts and lists that are doubled again and again, may take longer than
//! anybody waits. So every round of a loop, and all that a `+` makes, is counted.

use cel::{
    Context, DeclarationError, ExecutionError, Value,
    common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, operators},
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// The function that counts. No condition can call it: it is no name of CEL's.
const COUNT: &str = "@count";

/// What one condition has used up for one object.
#[derive(Default)]
pub(super) struct Budget {
    used: Arc<AtomicU64>,
}

impl Budget {
    /// How many steps there are.
    pub(super) const STEPS: u64 = 2_000_000;

    /// An expression that counts what it does.
    pub(super) fn metered(mut expression: IdedExpr) -> IdedExpr {
        meter(&mut expression);
        expression
    }

    /// Lets the expressions of a context count.
    ///
    /// # Errors
    /// Something else is called so.
    pub(super) fn offer(&self, context: &mut Context<'_, '_>) -> Result<(), DeclarationError> {
        let used = Arc::clone(&self.used);
        context.add_function(COUNT, move |value: Value| {
            let left = Budget::STEPS.saturating_sub(used.load(Ordering::Relaxed));
            let steps = size(&value, left + 1);
            if used.fetch_add(steps, Ordering::Relaxed) + steps > Budget::STEPS {
                return Err(ExecutionError::function_error(COUNT, "too many steps"));
            }
            Ok(value)
        })
    }

    /// Whether the expression wanted more steps than there are.
    pub(super) fn is_spent(&self) -> bool {
        self.used.load(Ordering::Relaxed) > Budget::STEPS
    }
}

/// How many values a value is made of, and bytes its texts have; counted up to `most`.
fn size(value: &Value, most: u64) -> u64 {
    let mut size = 1;
    match value {
        Value::String(text) => size += text.len() as u64,
        Value::Bytes(bytes) => size += bytes.len() as u64,
        Value::List(items) => {
            for item in items.iter() {
                if size > most {
                    break;
                }
                size += self::size(item, most - size.min(most));
            }
        }
        Value::Map(map) => {
            for part in map.map.values() {
                if size > most {
                    break;
                }
                size += self::size(part, most - size.min(most));
            }
        }
        _ => {}
    }
    size
}

/// Wraps every round of a loop, and every sum, in a call that counts it.
fn meter(expression: &mut IdedExpr) {
    match &mut expression.expr {
        Expr::Call(call) => {
            call.target.iter_mut().for_each(|target| meter(target));
            call.args.iter_mut().for_each(meter);
            if call.func_name == operators::ADD {
                count(expression);
            }
        }
        Expr::Comprehension(comprehension) => meter_loop(comprehension),
        Expr::List(list) => list.elements.iter_mut().for_each(meter),
        Expr::Map(map) => map.entries.iter_mut().for_each(|entry| meter_entry(&mut entry.expr)),
        Expr::Struct(fields) => fields.entries.iter_mut().for_each(|entry| meter_entry(&mut entry.expr)),
        Expr::Select(select) => meter(&mut select.operand),
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
    }
}

/// Counts the rounds of a loop.
fn meter_loop(whole: &mut ComprehensionExpr) {
    [&mut whole.iter_range, &mut whole.accu_init, &mut whole.loop_cond, &mut whole.result].into_iter().for_each(meter);
    let accumulator = whole.accu_var.as_str();
    // `map` and `filter` add to a list in place, as long as their own sum is left as it is: what they add is counted.
    let (guard, sum) = match &mut whole.loop_step.expr {
        Expr::Call(call) if call.func_name == operators::CONDITIONAL => match call.args.as_mut_slice() {
            [guard, sum, otherwise] if is_named(otherwise, accumulator) => (Some(guard), sum),
            _ => return meter_round(whole),
        },
        _ => (None, &mut whole.loop_step),
    };
    let Some(items) = appended(sum, accumulator) else { return meter_round(whole) };
    for part in guard.into_iter().chain(items) {
        meter(part);
        count(part);
    }
}

fn meter_round(whole: &mut ComprehensionExpr) {
    meter(&mut whole.loop_step);
    count(&mut whole.loop_cond);
}

/// What a sum adds to a list of this name.
fn appended<'e>(sum: &'e mut IdedExpr, name: &str) -> Option<&'e mut Vec<IdedExpr>> {
    let Expr::Call(CallExpr { func_name, args, .. }) = &mut sum.expr else { return None };
    let [list, added] = args.as_mut_slice() else { return None };
    match &mut added.expr {
        Expr::List(added) if func_name == operators::ADD && is_named(list, name) => Some(&mut added.elements),
        _ => None,
    }
}

fn is_named(expression: &IdedExpr, wanted: &str) -> bool {
    matches!(&expression.expr, Expr::Ident(name) if name == wanted)
}

fn meter_entry(entry: &mut EntryExpr) {
    match entry {
        EntryExpr::StructField(field) => meter(&mut field.value),
        EntryExpr::MapEntry(entry) => {
            meter(&mut entry.key);
            meter(&mut entry.value);
        }
    }
}

fn count(expression: &mut IdedExpr) {
    let counted = std::mem::take(expression);
    let id = counted.id;
    let call = CallExpr { func_name: COUNT.to_owned(), target: None, args: vec![counted] };
    *expression = IdedExpr { id, expr: Expr::Call(call) };
}
