//! The words and marks that a question consists of, each with its place.

use std::ops::Range;

use hopline_traces::questions::Mistake;
use winnow::ascii::multispace0;
use winnow::combinator::{alt, delimited, opt, preceded, repeat};
use winnow::error::{ContextError, ErrMode};
use winnow::prelude::*;
use winnow::stream::LocatingSlice;
use winnow::token::{none_of, one_of, take_while};

/// A word or a mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// A word: a name, a number, a time, a value.
    Word(String),
    /// What stood in double quotes.
    Quoted(String),
    /// One of `( ) [ ] , : ! = > >= < <=`.
    Mark(&'static str),
}

/// A token and its place, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) token: Token,
    pub(crate) at: Range<usize>,
}

type Input<'a> = LocatingSlice<&'a str>;

/// Takes a question apart.
pub(crate) fn tokens(text: &str) -> Result<Vec<Placed>, Mistake> {
    let mut input = LocatingSlice::new(text);
    let mut found: Vec<Placed> = Vec::new();
    loop {
        // Space is never refused.
        let _ = multispace0::<_, ContextError>.parse_next(&mut input);
        if input.is_empty() {
            return Ok(found);
        }
        let start = text.len() - input.len();
        let Ok((token, at)) = token.with_span().parse_next(&mut input) else {
            let rest = &text[start..];
            let is_quote = rest.starts_with('"');
            let message = match is_quote {
                true => "the quotation does not end: expected another `\"`".to_owned(),
                false => format!(
                    "`{}` has no meaning here",
                    rest.chars().next().unwrap_or(' ')
                ),
            };
            let end = if is_quote {
                text.len()
            } else {
                start + rest.chars().next().map_or(0, char::len_utf8)
            };
            return Err(Mistake {
                message,
                at: start..end,
                expected: Vec::new(),
                suggestion: None,
            });
        };
        found.push(Placed { token, at });
    }
}

fn token(input: &mut Input<'_>) -> winnow::ModalResult<Token> {
    alt((
        quoted.map(Token::Quoted),
        instant.map(|text: &str| Token::Word(text.to_owned())),
        mark.map(Token::Mark),
        word.map(|text: &str| Token::Word(text.to_owned())),
    ))
    .parse_next(input)
}

/// The longer ones first.
const MARKS: [&str; 12] = [">=", "<=", "(", ")", "[", "]", ",", ":", "!", "=", ">", "<"];

fn mark(input: &mut Input<'_>) -> winnow::ModalResult<&'static str> {
    let found = MARKS.into_iter().find(|mark| input.starts_with(mark));
    let found = found.ok_or_else(|| ErrMode::Backtrack(ContextError::new()))?;
    found.value(found).parse_next(input)
}

/// A text in double quotes, within which a backslash keeps the quote after it from ending it, and itself.
fn quoted(input: &mut Input<'_>) -> winnow::ModalResult<String> {
    let kept = preceded('\\', one_of(['"', '\\']));
    // Before anything else a backslash is itself: it may be meant for a star.
    let plain = alt((none_of(['"', '\\']), '\\'));
    delimited('"', repeat(0.., alt((kept, plain))), '"').parse_next(input)
}

/// A date, with a time of day or without: the colons in it are no marks.
fn instant<'a>(input: &mut Input<'a>) -> winnow::ModalResult<&'a str> {
    let digits = |count: usize| take_while(count..=count, '0'..='9');
    let seconds = (':', digits(2), opt(('.', take_while(1.., '0'..='9')))).void();
    let zone = alt((
        'Z'.void(),
        'z'.void(),
        (one_of(['+', '-']), digits(2), ':', digits(2)).void(),
    ));
    let of_day = (
        one_of(['T', 't']),
        digits(2),
        ':',
        digits(2),
        opt(seconds),
        opt(zone),
    )
        .void();
    (digits(4), '-', digits(2), '-', digits(2), opt(of_day))
        .take()
        .parse_next(input)
}

fn word<'a>(input: &mut Input<'a>) -> winnow::ModalResult<&'a str> {
    let plain = |c: char| !c.is_whitespace() && !"()[],:!=<>\"".contains(c) && !c.is_control();
    take_while(1.., plain).parse_next(input)
}
