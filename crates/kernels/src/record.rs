//! One way to hang an operation with its own backward into Burn's autodiff graph.

use crate::host::Host;
use crate::join::sum;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};
use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt::Debug;

/// The tensor of Flex under autodiff (the same type under every checkpointing strategy).
type AutodiffTensor = FloatTensor<Autodiff<Flex>>;

/// An operation of `N` inputs and one output that knows its vector-Jacobian product.
///
/// An instance is what the backward pass needs: it is made by the forward pass, consumed by the backward pass, and everything
/// in it is freed there.
pub(crate) trait Pullback<const N: usize>: Clone + Debug + Send + 'static {
    /// From the gradient of the output to the gradients of the inputs that `need` one.
    fn pull(self, dy: Host, need: [bool; N]) -> [Option<Host>; N];
}

#[derive(Debug)]
struct Recorded<P>(std::marker::PhantomData<fn() -> P>);

thread_local! {
    /// Nodes that got a gradient from an operation of this crate and, as far as is known here, have not passed it on yet.
    static WAITING: RefCell<HashSet<u64>> = RefCell::default();
}

/// Nodes above which all are forgotten: those whose gradients Burn's own operations passed on.
const FORGOTTEN: usize = 4096;

impl<P: Pullback<N>, const N: usize> Backward<Flex, N> for Recorded<P> {
    type State = P;

    fn backward(self, ops: Ops<P, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<Flex>(&ops.node);
        WAITING.with_borrow_mut(|nodes| nodes.remove(&ops.node.id.value));
        let need = ops.parents.each_ref().map(Option::is_some);
        for (parent, dx) in ops.parents.into_iter().zip(ops.state.pull(dy, need)) {
            let (Some(parent), Some(mut dx)) = (parent, dx) else { continue };
            // Burn adds the gradients of a tensor that was used twice on one thread; so that all threads do it, the first is taken back.
            // Leaves keep theirs when they are asked for. A node that waits has its gradient: Burn lets nothing pass a graph twice.
            let leaf = parent.parents.is_empty();
            if !leaf && WAITING.with_borrow(|nodes| nodes.contains(&parent.id.value)) {
                dx = sum(&grads.consume::<Flex>(&parent), &dx);
            } else if !leaf {
                WAITING.with_borrow_mut(|nodes| {
                    if nodes.len() >= FORGOTTEN {
                        nodes.clear();
                    }
                    nodes.insert(parent.id.value);
                });
            }
            grads.register::<Flex>(parent.id, dx);
        }
    }
}

/// Runs `forward` on the inputs and, if any of them is tracked, records the pullback that `save` makes from them.
///
/// `forward` returns the output and whatever it computed that the backward pass can use; `save` also learns which inputs need
/// gradients, so as not to keep what nobody will ask for.
pub(crate) fn record<C, P, S, const N: usize>(
    inputs: [AutodiffTensor; N],
    forward: impl FnOnce(&[Host; N]) -> (Host, S),
    save: impl FnOnce([Host; N], S, &Host, [bool; N]) -> P,
) -> AutodiffTensor
where
    C: CheckpointStrategy,
    P: Pullback<N>,
{
    let need = inputs.each_ref().map(|x| x.is_tracked());
    let nodes = inputs.each_ref().map(|x| x.node());
    let hosts = inputs.map(|x| x.into_primitive());
    let (output, extra) = forward(&hosts);
    match Recorded::<P>(std::marker::PhantomData).prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => {
            let pullback = save(hosts, extra, &output, need);
            prep.finish(pullback, output)
        }
        OpsKind::UnTracked(prep) => prep.finish(output),
    }
}
