//! From words and marks to what a question says.

use std::ops::Range;

use hopline_traces::questions::Mistake;

use super::suggest::nearest;
use super::token::{Placed, Token, tokens};
use super::values::{amount_of, duration, instant, pattern_of};
use super::{
    Amount, Comparison, Condition, Field, Figure, Function, MAX_DEPTH, Order, OrderKey, Pattern,
    Query, Time, What,
};

/// Words with which a clause begins, or that join conditions.
const KEYWORDS: [&str; 9] = [
    "where", "and", "or", "by", "per", "since", "from", "order", "limit",
];

const FUNCTIONS: [&str; 12] = [
    "count",
    "count_unique",
    "min",
    "max",
    "sum",
    "avg",
    "p50",
    "p75",
    "p90",
    "p95",
    "p99",
    "failure_rate",
];

/// The longest time a question may look back, and the longest bucket: a century.
const LONGEST: f64 = 3.2e18;

/// Reads a question.
pub(crate) fn parse(text: &str) -> Result<Query, Mistake> {
    let tokens = tokens(text)?;
    let mut parser = Parser {
        text,
        tokens,
        next: 0,
        depth: 0,
    };
    parser.query()
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Placed>,
    next: usize,
    depth: usize,
}

type Read<T> = Result<T, Mistake>;

impl Parser<'_> {
    fn query(&mut self) -> Read<Query> {
        let what = self.what()?;
        let mut query = Query {
            what,
            condition: None,
            by: Vec::new(),
            per: None,
            time: Time::All,
            order: Vec::new(),
            limit: None,
        };
        while self.peek().is_some() {
            self.clause(&mut query)?;
        }
        Ok(query)
    }

    fn what(&mut self) -> Read<What> {
        if self.is_word("spans") && !matches!(self.peek_at(1), Some(Token::Mark("("))) {
            self.next += 1;
            return Ok(What::Spans);
        }
        let mut figures = vec![self.figure()?];
        while self.take_mark(",") {
            figures.push(self.figure()?);
        }
        Ok(What::Figures(figures))
    }

    fn figure(&mut self) -> Read<Figure> {
        let start = self.place().start;
        let Some(Token::Word(name)) = self.peek().cloned() else {
            return Err(self.expected(&["spans", "count(…)", "avg(…)", "p95(…)"]));
        };
        let lower = name.to_ascii_lowercase();
        let Some(function) = function_named(&lower) else {
            let mut mistake = self.expected(&FUNCTIONS);
            mistake.message = format!(
                "there is no `{name}`: expected `spans` or a function, such as avg(span.duration)"
            );
            let known = FUNCTIONS.into_iter().chain(["spans"]);
            mistake.suggestion = nearest(&name, known).map(str::to_owned);
            return Err(mistake);
        };
        self.next += 1;
        self.require_mark("(")?;
        let is_open = !matches!(self.peek(), Some(Token::Mark(")")));
        let field = if is_open { Some(self.field()?) } else { None };
        self.require_mark(")")?;
        let at = start..self.last_end();
        // `count(spans)` counts spans, as the seed of this language has it.
        let field = field.filter(|field| field.name != "spans");
        let counts = matches!(function, Function::Count | Function::FailureRate);
        if field.is_none() && !counts {
            let message = format!("{lower} is of a field: expected such as {lower}(span.duration)");
            let suggestion = Some(format!("{lower}(span.duration)"));
            return Err(Mistake {
                message,
                at,
                expected: vec!["a field".into()],
                suggestion,
            });
        }
        let text = self.text[at].to_owned();
        Ok(Figure {
            function,
            field,
            text,
        })
    }

    fn field(&mut self) -> Read<Field> {
        let at = self.place();
        match self.peek().cloned() {
            Some(Token::Word(name) | Token::Quoted(name)) if !name.is_empty() => {
                self.next += 1;
                Ok(Field { name, at })
            }
            _ => Err(self.expected(&["a field, such as op or event.projectId"])),
        }
    }

    /// Conditions of which one must hold.
    fn any(&mut self) -> Read<Condition> {
        let mut any = vec![self.all()?];
        while self.take_word("or") {
            any.push(self.all()?);
        }
        Ok(one_or(any, Condition::Any))
    }

    /// Conditions that must all hold. `and` may be left out between them.
    fn all(&mut self) -> Read<Condition> {
        let mut all = vec![self.one()?];
        while self.take_word("and") || self.begins_condition() {
            all.push(self.one()?);
        }
        Ok(one_or(all, Condition::All))
    }

    fn begins_condition(&self) -> bool {
        match self.peek() {
            Some(Token::Mark("(" | "!") | Token::Quoted(_)) => true,
            Some(Token::Word(word)) => {
                let is_test = match self.peek_at(1) {
                    Some(Token::Mark(":" | "=" | ">" | ">=" | "<" | "<=")) => true,
                    // `a!:b`; but `or !a:b`.
                    Some(Token::Mark("!")) => {
                        matches!(self.peek_at(2), Some(Token::Mark(":" | "=")))
                    }
                    _ => false,
                };
                is_test || word.eq_ignore_ascii_case("not")
            }
            _ => false,
        }
    }

    fn one(&mut self) -> Read<Condition> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let message = format!("the conditions are nested more than {MAX_DEPTH} deep");
            return Err(Mistake {
                message,
                at: self.place(),
                expected: Vec::new(),
                suggestion: None,
            });
        }
        let read = self.one_nested();
        self.depth -= 1;
        read
    }

    fn one_nested(&mut self) -> Read<Condition> {
        if self.take_word("not") || self.take_mark("!") {
            return Ok(Condition::Not(Box::new(self.one()?)));
        }
        if self.take_mark("(") {
            let inner = self.any()?;
            self.require_mark(")")?;
            return Ok(inner);
        }
        // In quotes it is an attribute of that name.
        let is_word = matches!(self.peek(), Some(Token::Word(_)));
        let field = self.field()?;
        if is_word && field.name.eq_ignore_ascii_case("has") && self.take_mark(":") {
            return Ok(Condition::Has(self.field()?));
        }
        let is_not = self.take_mark("!");
        let condition = match self.take_comparison() {
            Some(comparison) if !is_not => Condition::Compare(field, comparison, self.amount()?),
            _ if self.take_mark(":") || self.take_mark("=") => match self.take_comparison() {
                // As Sentry writes it: `span.duration:>500ms`.
                Some(comparison) => Condition::Compare(field, comparison, self.amount()?),
                None => Condition::Is(field, self.patterns()?),
            },
            _ => return Err(self.no_test(&field)),
        };
        Ok(match is_not {
            true => Condition::Not(Box::new(condition)),
            false => condition,
        })
    }

    /// A word stands where a condition should, and nothing says what of it.
    fn no_test(&self, field: &Field) -> Mistake {
        let mut mistake = self.expected(&[":", "!:", ">", ">=", "<", "<="]);
        if let Some(keyword) = nearest(&field.name, KEYWORDS) {
            mistake.at = field.at.clone();
            mistake.message = format!(
                "`{}` is no condition: expected such as op:\"db.query\"",
                field.name
            );
            mistake.suggestion = Some(keyword.to_owned());
        } else {
            mistake.message = format!(
                "expected `:` and a value, or a comparison, after `{}`{}",
                field.name,
                self.found()
            );
        }
        mistake
    }

    fn take_comparison(&mut self) -> Option<Comparison> {
        let comparison = match self.peek()? {
            Token::Mark(">") => Comparison::More,
            Token::Mark(">=") => Comparison::AtLeast,
            Token::Mark("<") => Comparison::Less,
            Token::Mark("<=") => Comparison::AtMost,
            _ => return None,
        };
        self.next += 1;
        Some(comparison)
    }

    fn patterns(&mut self) -> Read<Vec<Pattern>> {
        if !self.take_mark("[") {
            return Ok(vec![self.pattern()?]);
        }
        let mut patterns = vec![self.pattern()?];
        while self.take_mark(",") {
            patterns.push(self.pattern()?);
        }
        self.require_mark("]")?;
        Ok(patterns)
    }

    fn pattern(&mut self) -> Read<Pattern> {
        match self.peek().cloned() {
            Some(Token::Word(text) | Token::Quoted(text)) => {
                self.next += 1;
                Ok(pattern_of(&text))
            }
            _ => Err(self.expected(&["a value, such as \"db.query\" or handleCommand.*"])),
        }
    }

    fn amount(&mut self) -> Read<Amount> {
        match self.peek().cloned() {
            Some(Token::Word(text) | Token::Quoted(text)) => {
                self.next += 1;
                Ok(amount_of(&text))
            }
            _ => Err(self.expected(&["a number, or a duration such as 500ms"])),
        }
    }

    fn clause(&mut self, query: &mut Query) -> Read<()> {
        let start = self.place();
        let Some(Token::Word(word)) = self.peek().cloned() else {
            return Err(self.unexpected());
        };
        let word = word.to_ascii_lowercase();
        self.next += 1;
        let twice = match word.as_str() {
            "where" => query.condition.replace(self.any()?).is_some(),
            "by" => {
                let twice = !query.by.is_empty();
                query.by.push(self.field()?);
                while self.take_mark(",") {
                    query.by.push(self.field()?);
                }
                twice
            }
            "per" => query.per.replace(self.duration("1m")?).is_some(),
            "since" => {
                let time = Time::Since(self.duration("1h")?);
                std::mem::replace(&mut query.time, time) != Time::All
            }
            "from" => {
                let from = self.instant()?;
                let to = if self.take_word("to") {
                    Some(self.instant()?)
                } else {
                    None
                };
                if to.is_some_and(|to| to <= from) {
                    let message = "the time ends before it begins".to_owned();
                    let at = self.tokens[self.next - 1].at.clone();
                    return Err(Mistake {
                        message,
                        at,
                        expected: vec!["a later time".into()],
                        suggestion: None,
                    });
                }
                std::mem::replace(&mut query.time, Time::Between(from, to)) != Time::All
            }
            "order" => {
                if !self.take_word("by") {
                    return Err(self.expected(&["by"]));
                }
                let twice = !query.order.is_empty();
                query.order.push(self.order()?);
                while self.take_mark(",") {
                    query.order.push(self.order()?);
                }
                twice
            }
            "limit" => query.limit.replace(self.number()?).is_some(),
            _ => {
                self.next -= 1;
                return Err(self.unexpected());
            }
        };
        if twice {
            let message = format!("`{word}` stands here a second time");
            return Err(Mistake {
                message,
                at: start,
                expected: Vec::new(),
                suggestion: None,
            });
        }
        if matches!(query.what, What::Spans) && (!query.by.is_empty() || query.per.is_some()) {
            let message = format!("`{word}` groups figures, and spans are asked for");
            let suggestion = Some(format!("count(spans) … {word} …"));
            return Err(Mistake {
                message,
                at: start,
                expected: Vec::new(),
                suggestion,
            });
        }
        Ok(())
    }

    fn order(&mut self) -> Read<Order> {
        let is_figure = matches!(self.peek_at(1), Some(Token::Mark("(")));
        let key = match is_figure {
            true => OrderKey::Figure(self.figure()?),
            false => OrderKey::Field(self.field()?),
        };
        let descending = self.take_word("desc");
        if !descending {
            self.take_word("asc");
        }
        Ok(Order { key, descending })
    }

    fn duration(&mut self, example: &str) -> Read<u64> {
        let at = self.place();
        let read = match self.peek() {
            Some(Token::Word(text)) => duration(text),
            _ => None,
        };
        match read {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "in range, and parts of a nanosecond do not matter"
            )]
            Some(nanos) if (1.0..LONGEST).contains(&nanos) => {
                self.next += 1;
                Ok(nanos as u64)
            }
            _ => {
                let mut mistake =
                    self.expected(&["a duration: a number and ns, us, ms, s, m, h, d or w"]);
                mistake.at = at;
                mistake.suggestion = Some(example.to_owned());
                Err(mistake)
            }
        }
    }

    fn instant(&mut self) -> Read<u64> {
        let read = match self.peek() {
            Some(Token::Word(text) | Token::Quoted(text)) => instant(text),
            _ => None,
        };
        let Some(at) = read else {
            return Err(self.expected(&["a time, such as 2026-01-31T09:30:00Z or 2026-01-31"]));
        };
        self.next += 1;
        Ok(at.as_nanos())
    }

    fn number(&mut self) -> Read<usize> {
        let read = match self.peek() {
            Some(Token::Word(text)) => text.parse().ok().filter(|number| *number > 0),
            _ => None,
        };
        let Some(number) = read else {
            return Err(self.expected(&["a number from 1"]));
        };
        self.next += 1;
        Ok(number)
    }

    fn peek(&self) -> Option<&Token> {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> Option<&Token> {
        self.tokens
            .get(self.next + ahead)
            .map(|placed| &placed.token)
    }

    /// The place of the next token; the end if there is none.
    fn place(&self) -> Range<usize> {
        let end = self.text.len();
        self.tokens
            .get(self.next)
            .map_or(end..end, |placed| placed.at.clone())
    }

    /// Where the last token that was taken ends.
    fn last_end(&self) -> usize {
        let last = self
            .next
            .checked_sub(1)
            .and_then(|last| self.tokens.get(last));
        last.map_or(0, |placed| placed.at.end)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(next)) if next.eq_ignore_ascii_case(word))
    }

    fn take_word(&mut self, word: &str) -> bool {
        let is_next = self.is_word(word);
        self.next += usize::from(is_next);
        is_next
    }

    fn take_mark(&mut self, mark: &str) -> bool {
        let is_next = matches!(self.peek(), Some(Token::Mark(next)) if *next == mark);
        self.next += usize::from(is_next);
        is_next
    }

    fn require_mark(&mut self, mark: &'static str) -> Read<()> {
        match self.take_mark(mark) {
            true => Ok(()),
            false => Err(self.expected(&[mark])),
        }
    }

    /// What was found instead, in words.
    fn found(&self) -> String {
        match self.peek() {
            None => ", and the question ends".to_owned(),
            Some(_) => format!(", found `{}`", &self.text[self.place()]),
        }
    }

    fn expected(&self, expected: &[&str]) -> Mistake {
        let told: Vec<_> = expected
            .iter()
            .map(|one| match one.contains(' ') {
                true => (*one).to_owned(),
                false => format!("`{one}`"),
            })
            .collect();
        Mistake {
            message: format!("expected {}{}", told.join(" or "), self.found()),
            at: self.place(),
            expected: expected.iter().map(|one| (*one).to_owned()).collect(),
            suggestion: None,
        }
    }

    /// Something stands where a clause, or the question's end, was expected.
    fn unexpected(&self) -> Mistake {
        let mut mistake = self.expected(&KEYWORDS);
        let found = &self.text[self.place()];
        mistake.message = format!(
            "`{found}` is not expected here: expected one of {}, or the end",
            KEYWORDS.join(", ")
        );
        mistake.suggestion = nearest(found, KEYWORDS).map(str::to_owned);
        mistake
    }
}

fn one_or(mut all: Vec<Condition>, join: fn(Vec<Condition>) -> Condition) -> Condition {
    match (all.len(), all.pop()) {
        (1, Some(one)) => one,
        (_, last) => {
            all.extend(last);
            join(all)
        }
    }
}

fn function_named(name: &str) -> Option<Function> {
    Some(match name {
        "count" => Function::Count,
        "count_unique" => Function::CountUnique,
        "min" => Function::Min,
        "max" => Function::Max,
        "sum" => Function::Sum,
        "avg" => Function::Avg,
        "p50" => Function::Percentile(0.5),
        "p75" => Function::Percentile(0.75),
        "p90" => Function::Percentile(0.9),
        "p95" => Function::Percentile(0.95),
        "p99" => Function::Percentile(0.99),
        "failure_rate" => Function::FailureRate,
        _ => return None,
    })
}
