//go:build linux

package main

import (
	"fmt"
	"slices"
)

// sample is what one measurement came to, a value for each figure of the scenario.
type sample []float64

type stepper func() (sample, error)

// side is one of two that are compared. It measures itself, again and again.
type side struct {
	step stepper
	stop func()
}

// opener starts a side.
type opener func() (side, error)

// steady measures one server again and again. The first time warms it up.
func steady(c command, begin func(*rig) (stepper, error)) opener {
	return func() (side, error) {
		r, err := newRig(c)
		if err != nil {
			return side{}, err
		}
		step, err := begin(r)
		if err == nil {
			_, err = step()
		}
		if err != nil {
			r.stop()
			return side{}, err
		}
		return side{step: step, stop: r.stop}, nil
	}
}

// fresh starts a server for each measurement: for what cannot be done twice to
// the same.
func fresh(c command, measure func(*rig) (sample, error)) opener {
	step := func() (sample, error) {
		r, err := newRig(c)
		if err != nil {
			return nil, err
		}
		defer r.stop()
		return measure(r)
	}
	return func() (side, error) { return side{step: step, stop: func() {}}, nil }
}

// scenario compares the hub with a floor.
type scenario struct {
	name    string
	does    string // what is done to both
	floor   string // what the hub is compared with
	figures []figure
	rounds  int
	base    opener // the floor; nil where there is none
	test    opener // the hub
	lacks   error  // what it needs and is not here; nil: nothing
}

// figure is one number of a scenario, and what is wanted of it. Less is better.
type figure struct {
	name, unit string
	want       want
	most       float64
}

type want int

const (
	shown  want = iota // nothing: it is there to be seen
	beside             // likewise, as a ratio
	ratio              // at most so many times the floor's
	limit              // at most this
)

// result is what a figure came to: medians over the rounds.
type result struct {
	figure
	base, test float64
	times      float64    // the hub's by the floor's of the same round
	spread     [2]float64 // the quartiles of that
}

func (r result) missed() bool {
	switch r.want {
	case ratio:
		return r.times > r.most
	case limit:
		return r.test > r.most
	}
	return false
}

// run measures floor and hub by turns, so that what disturbs the machine
// disturbs both, and compares each round by itself.
func (s scenario) run() ([]result, error) {
	test, err := s.test()
	if err != nil {
		return nil, fmt.Errorf("hubbub: %w", err)
	}
	defer test.stop()
	base := side{step: func() (sample, error) { return make(sample, len(s.figures)), nil }, stop: func() {}}
	if s.base != nil {
		if base, err = s.base(); err != nil {
			return nil, fmt.Errorf("floor: %w", err)
		}
	}
	defer base.stop()
	return s.rounding(base, test)
}

func (s scenario) rounding(base, test side) ([]result, error) {
	var bases, tests []sample
	for range s.rounds {
		b, err := base.step()
		if err != nil {
			return nil, fmt.Errorf("floor: %w", err)
		}
		t, err := test.step()
		if err != nil {
			return nil, fmt.Errorf("hubbub: %w", err)
		}
		bases, tests = append(bases, b), append(tests, t)
	}
	results := make([]result, len(s.figures))
	for i, f := range s.figures {
		results[i] = f.of(column(bases, i), column(tests, i))
	}
	return results, nil
}

func column(samples []sample, i int) []float64 {
	values := make([]float64, len(samples))
	for k, s := range samples {
		values[k] = s[i]
	}
	return values
}

// of sums up the rounds.
func (f figure) of(base, test []float64) result {
	times := make([]float64, len(base))
	for i := range base {
		times[i] = test[i] / base[i]
	}
	slices.Sort(times)
	return result{
		figure: f,
		base:   median(base),
		test:   median(test),
		times:  median(times),
		spread: [2]float64{quantile(times, 0.25), quantile(times, 0.75)},
	}
}
