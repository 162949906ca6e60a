//! The cheapest pairing of `n` rows with `n` columns, exactly: the Hungarian method by shortest augmenting paths.
//!
//! Rows enter one after the other; dual prices `u_i + v_j <= c_ij` keep every reduced cost non-negative, and a Dijkstra search over
//! reduced costs finds the path along which the pairing grows at least cost (Kuhn 1955; Jonker and Volgenant 1987). `O(n^3)`.

/// `columns[i]` is the column of row `i` in a pairing of least total cost; `cost` is `[n, n]` by rows.
///
/// # Panics
/// Unless `cost` holds `n^2` finite numbers.
#[track_caller]
pub fn assignment(cost: &[f64], n: usize) -> Vec<usize> {
    assert_eq!(cost.len(), n * n, "{} costs for {n} rows and columns", cost.len());
    assert!(cost.iter().all(|c| c.is_finite()), "a cost is not finite");
    const NONE: usize = usize::MAX;
    let (mut u, mut v) = (vec![0.0; n], vec![0.0; n]);
    let (mut row_of, mut column_of) = (vec![NONE; n], vec![NONE; n]);
    for start in 0..n {
        // The shortest path in reduced costs from this row to a free column.
        let (mut distance, mut before) = (vec![f64::INFINITY; n], vec![start; n]);
        let mut done = vec![false; n];
        let (mut row, mut reached) = (start, 0.0);
        let end = loop {
            let (mut next, mut least) = (NONE, f64::INFINITY);
            for j in (0..n).filter(|&j| !done[j]) {
                let through = reached + cost[row * n + j] - u[row] - v[j];
                if through < distance[j] {
                    (distance[j], before[j]) = (through, row);
                }
                // The first of equals, so that the pairing is a function of the costs.
                if distance[j] < least {
                    (next, least) = (j, distance[j]);
                }
            }
            (done[next], reached) = (true, least);
            match row_of[next] {
                NONE => break next,
                taken => row = taken,
            }
        };
        // Prices that keep the pairs of the path tight.
        u[start] += reached;
        for j in (0..n).filter(|&j| done[j] && j != end) {
            let slack = reached - distance[j];
            u[row_of[j]] += slack;
            v[j] -= slack;
        }
        // Every row of the path moves on to the column it reached.
        let mut column = end;
        loop {
            let row = before[column];
            row_of[column] = row;
            let freed = std::mem::replace(&mut column_of[row], column);
            if row == start {
                break;
            }
            column = freed;
        }
    }
    column_of
}

#[cfg(test)]
mod tests {
    use super::*;
    use scorefield_tensor::Purpose;
    use scorefield_tensor::noise::Stream;

    fn total(cost: &[f64], n: usize, columns: &[usize]) -> f64 {
        columns.iter().enumerate().map(|(i, &j)| cost[i * n + j]).sum()
    }

    fn least(cost: &[f64], n: usize, columns: &mut Vec<usize>) -> f64 {
        if columns.len() == n {
            return total(cost, n, columns);
        }
        let mut best = f64::INFINITY;
        for j in 0..n {
            if !columns.contains(&j) {
                columns.push(j);
                best = best.min(least(cost, n, columns));
                columns.pop();
            }
        }
        best
    }

    #[test]
    fn equals_the_best_of_all_permutations() {
        for n in 1..=7 {
            for draw in 0..20u8 {
                let stream = Stream::new(11, n as u64, Purpose::User, 0, draw);
                // Every second case of whole numbers, where many pairings cost the same.
                let number = |i| 10.0 * stream.uniform(i) - 3.0;
                let cost: Vec<f64> = (0..n * n).map(number).map(|c: f64| if draw % 2 == 0 { c } else { c.round() }).collect();
                let columns = assignment(&cost, n);
                let mut sorted = columns.clone();
                sorted.sort_unstable();
                assert_eq!(sorted, (0..n).collect::<Vec<_>>());
                let best = least(&cost, n, &mut Vec::new());
                assert!((total(&cost, n, &columns) - best).abs() < 1e-9, "{n} {draw}");
            }
        }
    }

    /// On a line, squared distances are least for sorted against sorted.
    #[test]
    fn sorts_on_the_line() {
        let n = 200;
        let mut values = [vec![0.0; n], vec![0.0; n]];
        values.iter_mut().enumerate().for_each(|(k, v)| Stream::new(1, k as u64, Purpose::User, 0, 0).fill_normal(v));
        let [x, y] = &values;
        let cost: Vec<f64> = x.iter().flat_map(|a| y.iter().map(move |b| (a - b).powi(2))).collect();
        let columns = assignment(&cost, n);
        let rank = |v: &[f64], i: usize| v.iter().filter(|w| **w < v[i]).count();
        (0..n).for_each(|i| assert_eq!(rank(x, i), rank(y, columns[i])));
    }
}
