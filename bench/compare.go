//go:build linux

package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// sample is one measurement: a value per figure of the scenario.
type sample []float64

// stepper takes one measurement.
type stepper func() (sample, error)

// side is one of the two that are compared. It measures itself, again and again.
type side struct {
	step stepper
	stop func()
}

// open starts a side. A first measurement warms a server up that is measured
// again and again.
func (c config) open(s scenario, line string, w workload) (side, error) {
	w, clients := w.scale(c)
	cmd, err := c.command(line, clients)
	if err != nil {
		return side{}, err
	}
	if s.allCores {
		cmd.cores = c.cores.all
	}
	if f, ok := w.(fileStream); ok {
		cmd.stdin = filepath.Join(c.dir, "stdin")
		if err := os.WriteFile(cmd.stdin, numbered(0, f.lines, f.size), 0o600); err != nil {
			return side{}, err
		}
	}
	if once, ok := w.(measurer); ok {
		return side{step: func() (sample, error) { return fresh(cmd, once) }, stop: func() {}}, nil
	}
	h, err := newHarness(cmd)
	if err != nil {
		return side{}, err
	}
	step, err := w.(beginner).begin(h)
	if err == nil {
		_, err = step()
	}
	if err != nil {
		h.stop()
		return side{}, err
	}
	return side{step: step, stop: h.stop}, nil
}

// fresh measures a new server.
func fresh(cmd command, w measurer) (sample, error) {
	h, err := newHarness(cmd)
	if err != nil {
		return nil, err
	}
	defer h.stop()
	return w.measure(h)
}

// figure is one number of a scenario and its goal. Less is better.
type figure struct {
	name, unit string
	want       want
	most       float64
}

type want int

const (
	shown  want = iota // no goal
	beside             // no goal, but the ratio is shown
	ratio              // at most so many times the floor
	limit              // at most so much
)

// result is a figure measured: medians over the rounds.
type result struct {
	figure
	base, test float64
	times      float64    // hubbub by floor, of the same round
	spread     [2]float64 // its quartiles
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

// run measures floor and hubbub alternately, so that other load on the machine
// affects both, and compares them round by round. A build of hubbub in other takes
// the floor's place.
func (c config) run(s scenario, other string) ([]result, error) {
	if s.allCores && c.cores.all.Count() < 2 {
		return nil, fmt.Errorf("%w: needs two cores", errMissing)
	}
	base := side{step: func() (sample, error) { return make(sample, len(s.figures)), nil }, stop: func() {}}
	var err error
	switch {
	case other != "":
		before := c
		before.hub = other
		base, err = before.open(s, s.test, s.work)
	case s.floor != "":
		base, err = c.open(s, cmp.Or(s.base, s.test), cmp.Or(s.baseWork, s.work))
	}
	if err != nil {
		return nil, fmt.Errorf("floor: %w", err)
	}
	defer base.stop()
	test, err := c.open(s, s.test, s.work)
	if err != nil {
		return nil, fmt.Errorf("hubbub: %w", err)
	}
	defer test.stop()
	return s.alternate(base, test, c.rounds(s.rounds))
}

func (s scenario) alternate(base, test side, rounds int) ([]result, error) {
	var bases, tests []sample
	for range rounds {
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

// of summarises the rounds.
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
