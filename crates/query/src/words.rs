//! Columns of words: texts that many rows share, kept as a dictionary and a number for each row. Each dictionary numbers them
//! in its own way; here each word gets a number for the whole of a question, once for each dictionary that has it, so that rows
//! are grouped by numbers. By their texts it takes half as long again.

use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::array::{Array, ArrayRef, Int32Array, StringArray};
use datafusion::arrow::datatypes::{DataType, Int32Type};
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use hopline_columns::schema::{TEXT_ATTRIBUTES, names};
use parking_lot::Mutex;

/// How many bytes the words of a question's groups may take, about. Beyond, it is refused, as one that takes too much memory is.
const WORD_BYTES: usize = 64 << 20;

/// For how many dictionaries it is remembered what was found out: each thread is at one.
const DICTIONARIES: usize = 16;

/// Whether a value is a column of words as it stands. Those of ids are none: they may be as many as rows.
fn is_of_words(value: &Expr) -> bool {
    const WORDS: [&str; 5] = [
        names::NAME,
        names::OP,
        names::KIND,
        names::STATUS,
        names::SERVICE,
    ];
    let Expr::Column(column) = value else {
        return false;
    };
    let attributes = TEXT_ATTRIBUTES.iter().map(|(_, column)| *column);
    WORDS
        .into_iter()
        .chain(attributes)
        .any(|name| name == column.name)
}

/// What was found out of the last dictionaries.
struct Known<T>(Mutex<Vec<(ArrayRef, T)>>);

impl<T: Clone> Known<T> {
    fn new() -> Self {
        Self(Mutex::default())
    }

    fn of(&self, words: &ArrayRef, find_out: impl FnOnce() -> Result<T>) -> Result<T> {
        let mut known = self.0.lock();
        if let Some((_, found)) = known.iter().find(|(other, _)| is_same(other, words)) {
            return Ok(found.clone());
        }
        drop(known);
        let found = find_out()?;
        known = self.0.lock();
        if known.len() == DICTIONARIES {
            known.remove(0);
        }
        known.push((Arc::clone(words), found.clone()));
        Ok(found)
    }
}

/// Whether two arrays are the same piece of memory.
fn is_same(one: &ArrayRef, other: &ArrayRef) -> bool {
    let (one, other) = (one.as_string::<i32>(), other.as_string::<i32>());
    let place = |array: &StringArray| (array.value_offsets().as_ptr(), array.values().as_ptr());
    one.len() == other.len() && place(one) == place(other)
}

/// The only argument, for each row.
fn rows_of(args: ScalarFunctionArgs) -> Result<ArrayRef> {
    let rows = args.number_rows;
    let mut args = args.args.into_iter();
    let first = args.next();
    first.map_or_else(
        || Err(DataFusionError::Internal("expected an argument".into())),
        |first| first.into_array(rows),
    )
}

/// Numbers for the words by which a question groups, the same wherever a word comes from.
#[derive(Clone)]
pub(crate) struct Words(Arc<Mutex<Numbered>>);

impl Default for Words {
    fn default() -> Self {
        Self::within(WORD_BYTES)
    }
}

struct Numbered {
    numbers: HashMap<Arc<str>, i32>,
    words: Vec<Arc<str>>,
    bytes: usize,
    /// How many bytes they may take.
    most: usize,
}

impl Numbered {
    fn number(&mut self, word: &str) -> Result<i32> {
        if let Some(number) = self.numbers.get(word) {
            return Ok(*number);
        }
        let word: Arc<str> = word.into();
        // The word, where it is twice, and its number.
        self.bytes += word.len() + 64;
        if self.bytes > self.most {
            let told = "the words by which it groups are too many";
            return Err(DataFusionError::ResourcesExhausted(told.into()));
        }
        let number = i32::try_from(self.words.len()).unwrap_or(i32::MAX);
        self.words.push(Arc::clone(&word));
        self.numbers.insert(word, number);
        Ok(number)
    }
}

impl Words {
    /// Those of at most so many bytes.
    pub(crate) fn within(most: usize) -> Self {
        Self(Arc::new(Mutex::new(Numbered {
            numbers: HashMap::new(),
            words: Vec::new(),
            bytes: 0,
            most,
        })))
    }

    /// About how many bytes they take.
    pub(crate) fn bytes(&self) -> usize {
        self.0.lock().bytes
    }

    /// Whether there were more than they may be.
    pub(crate) fn are_too_many(&self) -> bool {
        let numbered = self.0.lock();
        numbered.bytes > numbered.most
    }

    /// Numbers in place of a column of words, and by what they become words again; none of other values.
    pub(crate) fn numbers_of(&self, value: &Expr) -> Option<(Expr, ScalarUDF)> {
        if !is_of_words(value) {
            return None;
        }
        let numbers = ScalarUDF::new_from_impl(NumberOf {
            words: Arc::clone(&self.0),
            known: Known::new(),
            signature: Signature::any(1, Volatility::Immutable),
        });
        let words = ScalarUDF::new_from_impl(WordOf {
            words: Arc::clone(&self.0),
            signature: Signature::any(1, Volatility::Immutable),
        });
        Some((numbers.call(vec![value.clone()]), words))
    }
}

/// The numbers of a column of words.
struct NumberOf {
    words: Arc<Mutex<Numbered>>,
    known: Known<Arc<[i32]>>,
    signature: Signature,
}

impl ScalarUDFImpl for NumberOf {
    fn name(&self) -> &'static str {
        "number_of"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int32)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let array = rows_of(args)?;
        let words = array.as_dictionary::<Int32Type>();
        let numbers = self.known.of(words.values(), || {
            let mut numbered = self.words.lock();
            let all = words.values().as_string::<i32>().iter();
            let all = all.map(|word| numbered.number(word.unwrap_or_default()));
            all.collect()
        })?;
        let keys = words.keys();
        // A row without a word may have any key.
        let number = |key: &i32| numbers.get(key.cast_unsigned() as usize).copied();
        let found = keys.values().iter().map(|key| number(key).unwrap_or(0));
        let found = Int32Array::new(found.collect(), keys.nulls().cloned());
        Ok(ColumnarValue::Array(Arc::new(found)))
    }
}

/// The words of their numbers.
struct WordOf {
    words: Arc<Mutex<Numbered>>,
    signature: Signature,
}

impl ScalarUDFImpl for WordOf {
    fn name(&self) -> &'static str {
        "word_of"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let array = rows_of(args)?;
        let numbered = self.words.lock();
        let numbers = array.as_primitive::<Int32Type>().iter();
        let words = numbers.map(|number| numbered.words.get(usize::try_from(number?).ok()?));
        let words: StringArray = words.map(|word| word.map(|word| &**word)).collect();
        Ok(ColumnarValue::Array(Arc::new(words)))
    }
}

/// Each is a function of its own, like no other.
macro_rules! of_its_own {
    ($($function:ty),*) => {$(
        impl PartialEq for $function {
            fn eq(&self, other: &Self) -> bool {
                std::ptr::eq(self, other)
            }
        }

        impl Eq for $function {}

        impl Hash for $function {
            fn hash<H: Hasher>(&self, state: &mut H) {
                std::ptr::from_ref(self).hash(state);
            }
        }

        impl fmt::Debug for $function {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    )*};
}

of_its_own!(NumberOf, WordOf);
