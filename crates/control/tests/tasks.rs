//! Tasks by name.

use scorefield_control::operator::{Kernel, Matrix, Shape};
use scorefield_control::rule::RuleKind;
use scorefield_control::{Parts, Seen, Task, Tasks};

fn parts(shape: Shape) -> Parts {
    Parts {
        mask: Some((0..shape.entries()).map(|i| i % 2 == 0).collect()),
        kernel: None,
        matrix: Some(Matrix::new(2, shape.entries(), (0..2 * shape.entries()).map(|i| i as f64 * 0.01).collect()).unwrap()),
        bounds: None,
    }
}

/// Every task measures colour pictures of 8 x 8 with as many numbers as it says, and its name is read back with its options.
#[test]
fn every_task_measures_what_it_says() {
    let shape = Shape::new(3, 8, 8).unwrap();
    for task in Task::all() {
        assert_eq!(task.to_string().parse::<Task>().unwrap(), task);
        assert!(!task.about().is_empty());
        let all = parts(shape);
        let own = Parts {
            mask: all.mask.filter(|_| task == Task::Inpaint),
            kernel: None,
            matrix: all.matrix.filter(|_| task == Task::Matrix),
            bounds: None,
        };
        let (operator, seen) = Tasks::from(task.clone()).operator(shape, &own).unwrap();
        let count = match seen {
            Seen::Picture(shape) => shape.entries(),
            Seen::Part(whole) => {
                assert_eq!(whole, shape);
                96
            }
            Seen::Numbers(m) => m,
        };
        assert_eq!((operator.inputs(), operator.outputs()), (192, count), "{task}");
        let mut y = vec![0.0; count];
        operator.apply(&[100.0; 192], &mut y);
        assert!(y.iter().all(|v| v.is_finite()), "{task}");
    }
    for rule in RuleKind::all() {
        assert_eq!(rule.to_string().parse::<RuleKind>().unwrap(), rule);
        assert!(!rule.about().is_empty() && rule.default_steps() > 0);
    }
}

/// One after the other is the product: a grey picture, made smaller, of a colour picture whose channels are known.
#[test]
fn tasks_follow_each_other() {
    let tasks: Tasks = "colourise+super-resolution:factor=2".parse().unwrap();
    assert_eq!("declip:gain=1e+1".parse::<Tasks>().unwrap(), Task::Declip { gain: 10.0 }.into());
    assert_eq!(tasks.to_string(), "colourise+super-resolution:factor=2");
    let shape = Shape::new(3, 4, 4).unwrap();
    let (operator, seen) = tasks.operator(shape, &Parts::default()).unwrap();
    assert_eq!(seen, Seen::Picture(Shape::new(1, 2, 2).unwrap()));
    let x: Vec<f64> = (0..48).map(f64::from).collect();
    let mut y = vec![0.0; 4];
    operator.apply(&x, &mut y);
    // The mean of pixels 0, 1, 4, 5 of channel c is 16 c + 2.5.
    let first = 0.299 * 2.5 + 0.587 * 18.5 + 0.114 * 34.5;
    assert!((y[0] - first).abs() < 1e-12 && (y[1] - first - 2.0).abs() < 1e-12, "{y:?}");
}

/// Beside each other the numbers of all stand in order: a small picture, and half of a grey one, of one state.
#[test]
fn tasks_stand_beside_each_other() {
    let tasks: Tasks = "super-resolution:factor=2 & colourise+inpaint".parse().unwrap();
    let shape = Shape::new(3, 4, 4).unwrap();
    assert_eq!(tasks.masked(shape, &Parts::default()).unwrap(), Shape::new(1, 4, 4).unwrap());
    let half: Vec<bool> = (0..16).map(|i| i < 8).collect();
    let parts = Parts { mask: Some(half), ..Parts::default() };
    let (operator, seen) = tasks.operator(shape, &parts).unwrap();
    assert_eq!(seen, Seen::Numbers(12 + 8));
    let x: Vec<f64> = (0..48).map(|i| f64::from(i * i)).collect();
    let mut y = vec![0.0; 20];
    operator.apply(&x, &mut y);
    let mut at = 0;
    for chain in &tasks.0 {
        let alone = Tasks::from(chain.clone());
        let own = alone.taken(&parts);
        let (one, _) = alone.operator(shape, &own).unwrap();
        let mut part = vec![0.0; one.outputs()];
        one.apply(&x, &mut part);
        assert_eq!(y[at..at + part.len()], part);
        at += part.len();
    }
    assert_eq!(at, 20);
    assert!("denoise & ".parse::<Tasks>().is_err());
}

#[test]
fn what_is_missing_or_of_no_use_is_named() {
    let shape = Shape::new(1, 4, 4).unwrap();
    let said = |text: &str, parts: Parts| text.parse::<Tasks>().unwrap().operator(shape, &parts).unwrap_err().to_string();
    assert!(said("inpaint", Parts::default()).contains("--mask"));
    assert!(said("matrix", Parts::default()).contains("--matrix"));
    assert!(said("denoise", parts(shape)).contains("mask"));
    assert!(said("colourise", Parts::default()).contains("3 channels"));
    assert!(said("super-resolution:factor=3", Parts::default()).contains('3'));
    assert!(said("ct+denoise", Parts::default()).contains("ct"));
    let kernel = Kernel::new(9, 9, vec![1.0; 81]).unwrap();
    assert!(said("deblur", Parts { kernel: Some(kernel), ..Parts::default() }).contains("9"));
    let wrong = Parts { mask: Some(vec![true; 3]), ..Parts::default() };
    assert!(said("inpaint", wrong).contains("16"));
    let unknown = |text: &str| text.parse::<Tasks>().unwrap_err().to_string();
    assert!(unknown("deblurr").contains("did you mean \"deblur\"") && unknown("ct:angle=3").contains("angles"));
    assert!(unknown("gamma:power=0").contains("power"));
}
