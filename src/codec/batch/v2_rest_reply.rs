//! V2's replies over REST, whether their data is nested, flat or behind the text: each request gets its rows and its id.

use std::ops::Range;

use super::Unsplit;
use super::list::List;
use super::members::{inside, only, removal, shares};
use super::rows::{Rows, product};
use super::shape::{put_number, put_shape, sizes};
use super::splice::Splice;
use super::v2_json::{Slot, Slots, Tail};
use super::v2_rest::Places;
use super::v2_tensor::raw_unit;
use crate::codec::json::tape::{Kind, Tape, Value};
use crate::codec::tensor::datatype::Datatype;
use crate::codec::tensor::v2::BINARY_SIZE;
use crate::record::{Form, Message};

/// An output with the data of each part.
struct Output {
    shape: Vec<usize>,
    data: Data,
}

enum Data {
    Text(Vec<Range<usize>>),
    Raw(Vec<List>),
}

pub(super) fn split(
    parts: &[(&[u8], &Places)],
    rows: &Rows,
    reply: &Message,
    json: usize,
) -> Result<Vec<Message>, Unsplit> {
    let body = &reply.body[..];
    let text = body.get(..json).ok_or_else(|| broken("it has less text than it says"))?;
    let tape = Tape::parse(text).map_err(|error| Unsplit::Unreadable(error.to_string()))?;
    let root = tape.root();
    let mut slots = Slots::default();
    let id = only(root, "id").map_err(Unsplit::Unreadable)?;
    if let Some(id) = id {
        slots.add(id.span(), Slot::Id);
    }
    let mut tail = Tail { rest: json..body.len() };
    let outputs = only(root, "outputs").map_err(Unsplit::Unreadable)?;
    let outputs = outputs.filter(|outputs| !outputs.is_empty() && outputs.kind() == Kind::Array);
    let outputs = outputs.ok_or_else(|| rows.unsplit("no outputs".to_owned()))?;
    let read = |(at, output)| Output::read(at, output, body, &mut tail, rows, &mut slots);
    let outputs = outputs.items().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
    if !tail.rest.is_empty() {
        return Err(broken("there are bytes behind it that belong to no output"));
    }
    let slots = slots.sorted();
    let template = Template { text, slots, outputs, without_id: removal(root, "id"), start: root.span().start + 1 };
    let with = |(at, ((request, places), rows)): (usize, (&(&[u8], &Places), usize))| {
        let id = places.id.clone().and_then(|id| request.get(id));
        let (own, json) = template.fill(at, body, rows, id, body.len() / parts.len());
        let form = match &reply.form {
            Form::Binary { .. } => Form::Binary { json },
            other => other.clone(),
        };
        Message { body: own.into(), form }
    };
    Ok(parts.iter().zip(rows.each()).enumerate().map(with).collect())
}

fn broken(what: &str) -> Unsplit {
    Unsplit::Unreadable(what.to_owned())
}

impl Output {
    fn read(
        at: usize,
        output: Value<'_>,
        body: &[u8],
        tail: &mut Tail,
        rows: &Rows,
        slots: &mut Slots,
    ) -> Result<Self, Unsplit> {
        let member = |object, name| {
            let found = only(object, name).map_err(Unsplit::Unreadable)?;
            Ok::<_, Unsplit>(found.filter(|value| value.kind() != Kind::Null))
        };
        let place = member(output, "shape")?;
        let shape = place.and_then(sizes).ok_or_else(|| broken("an output has no shape"))?;
        let elements = rows.elements(&shape)?;
        let size = match member(output, "parameters")? {
            Some(parameters) => member(parameters, BINARY_SIZE)?,
            None => None,
        };
        let data = match (member(output, "data")?, size) {
            (Some(data), None) => Data::Text(cut(data, &shape, rows)?),
            (None, Some(size)) => {
                let datatype = member(output, "datatype")?.and_then(Value::string);
                let datatype = datatype.and_then(|name| Datatype::read(&name).ok());
                let datatype = datatype.ok_or_else(|| broken("an output with raw data has no datatype"))?;
                let list = tail.take(body, size, raw_unit(datatype)).and_then(|list| list.cut(body, elements));
                slots.add(size.span(), Slot::Size(at));
                Data::Raw(list.ok_or_else(|| broken("an output has other raw data than its shape says"))?)
            }
            _ => return Err(broken("an output has no data, or has it twice")),
        };
        if let Some(place) = place {
            slots.add(place.span(), Slot::Shape(at));
        }
        if let Some(items) = member(output, "data")?.and_then(inside) {
            slots.add(items, Slot::Data(at));
        }
        Ok(Self { shape, data })
    }
}

/// Where the values of each part stand, nested as the shape says or flat.
fn cut(data: Value<'_>, shape: &[usize], rows: &Rows) -> Result<Vec<Range<usize>>, Unsplit> {
    let scalar = |leaf: Value<'_>| if leaf.kind() == Kind::Object { Err(String::new()) } else { Ok(()) };
    let grid = data.grid(scalar).map_err(|_| broken("an output's data are no rows"))?;
    let cut = if grid == shape {
        shares(data, rows.each())
    } else if product(shape).is_some_and(|all| grid == [all]) {
        shares(data, rows.elements(shape)?)
    } else {
        None
    };
    cut.ok_or_else(|| broken("an output has other data than its shape says"))
}

/// A reply's text with places to fill.
struct Template<'t> {
    text: &'t [u8],
    slots: Slots,
    outputs: Vec<Output>,
    /// What is left out for a request without an id; nothing if the reply has none.
    without_id: Option<Range<usize>>,
    /// Where the first member would stand.
    start: usize,
}

impl Template<'_> {
    /// The reply of a part, and how much of it is text.
    fn fill(&self, part: usize, body: &[u8], rows: usize, id: Option<&[u8]>, about: usize) -> (Vec<u8>, usize) {
        let mut text = Splice::of(self.text, about);
        if let (Some(id), None) = (id, &self.without_id) {
            let out = text.at(&(self.start..self.start));
            out.extend_from_slice(b"\"id\":");
            out.extend_from_slice(id);
            out.push(b',');
        }
        for (place, slot) in self.slots.iter() {
            match slot {
                Slot::Id => match (id, &self.without_id) {
                    (None, Some(member)) => _ = text.at(member),
                    (id, _) => text.at(place).extend_from_slice(id.unwrap_or_default()),
                },
                Slot::Shape(at) => put_shape(rows, self.outputs.get(at).map_or(&[], |o| &o.shape[..]), text.at(place)),
                Slot::Data(at) => {
                    let out = text.at(place);
                    if let Some(Data::Text(shares)) = self.outputs.get(at).map(|output| &output.data) {
                        let share = shares.get(part).cloned().unwrap_or_default();
                        out.extend_from_slice(body.get(share).unwrap_or_default());
                    }
                }
                Slot::Size(at) => put_number(self.raw(at, part).map_or(0, |list| list.bytes), text.at(place)),
            }
        }
        let mut own = text.done();
        let json = own.len();
        for list in (0..self.outputs.len()).filter_map(|at| self.raw(at, part)) {
            list.each(body, |bytes| own.extend_from_slice(bytes));
        }
        (own, json)
    }

    fn raw(&self, output: usize, part: usize) -> Option<&List> {
        match &self.outputs.get(output)?.data {
            Data::Raw(lists) => lists.get(part),
            Data::Text(_) => None,
        }
    }
}
