//! What a supervisor and its children say to each other, over whatever thread lies between.

use std::{sync::Arc, time::Duration};

use crate::exit::{Exit, Failure};

/// From a supervisor to a child.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Order {
    /// Live (again), after a back-off.
    Resume { after: Duration },
    /// End this life and wait.
    Hold { why: Exit },
    /// Finish and end for good.
    Drain,
    /// End for good, now.
    Kill,
}

/// From a child to its supervisor.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum News {
    /// Up: its first poll past `started` is over.
    Running,
    /// A life is over; an order must say what now.
    Failed(Failure),
    /// As ordered.
    Held,
    /// Gone; nobody is left to take an order.
    Ended(Exit),
}

/// A child's way to its supervisor.
#[derive(Clone)]
pub(crate) struct Post(Arc<dyn Fn(News) + Send + Sync>);

impl Post {
    pub(crate) fn new(send: impl Fn(News) + Send + Sync + 'static) -> Self {
        Self(Arc::new(send))
    }

    pub(crate) fn send(&self, news: News) {
        (self.0)(news);
    }
}

/// A supervisor's way to a child. Dropping it kills the child: nothing lives unsupervised.
pub(crate) struct Link(Box<dyn Fn(Order) + Send>);

impl Link {
    pub(crate) fn new(send: impl Fn(Order) + Send + 'static) -> Self {
        Self(Box::new(send))
    }

    pub(crate) fn send(&self, order: Order) {
        (self.0)(order);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.send(Order::Kill);
    }
}
