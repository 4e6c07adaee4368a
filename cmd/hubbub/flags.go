package main

import (
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"hubbub.example/internal/quantity"
)

// parsed is the value of a flag that a function reads. Kind is what the help
// calls it: a flag is shown as --name kind.
type parsed[T any] struct {
	at    *T
	text  string
	kind  string
	parse func(string) (T, error)
}

// parsedFlag defines a flag that parse reads into at. Text is its default, as
// it would be typed; "" is left to at as it stands.
func parsedFlag[T any](g *flagGroup, at *T, name, text, kind, help string, parse func(string) (T, error)) {
	p := &parsed[T]{at: at, kind: kind, parse: parse}
	if text != "" {
		if err := p.Set(text); err != nil {
			panic("hubbub: the default of --" + name + ": " + err.Error())
		}
	}
	g.Var(p, name, help)
}

func (p *parsed[T]) Set(text string) error {
	v, err := p.parse(text)
	if err != nil {
		return err
	}
	*p.at, p.text = v, text
	return nil
}

func (p *parsed[T]) String() string { return p.text }
func (p *parsed[T]) Type() string   { return p.kind }

var _ pflag.Value = (*parsed[int])(nil)

// parseSize reads a number of bytes: 512, 64KiB, 1MB.
func parseSize(s string) (int64, error) {
	n, err := quantity.ParseBytes(s)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("size %q: must be a number of bytes above 0 and below 8EiB, such as 512, 64KiB or 1MB", s)
	}
	return n, nil
}

// parseLength is parseSize for what must fit in memory.
func parseLength(s string) (int, error) {
	n, err := parseSize(s)
	if err == nil && n > math.MaxInt {
		err = fmt.Errorf("size %q: must be at most %d bytes", s, math.MaxInt)
	}
	return int(n), err
}

// parseTime reads a duration above 0.
func parseTime(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("time %q: must be a time above 0 with its unit, such as 500ms, 30s or 1h30m", s)
	}
	return d, nil
}

// parseTimeOr0 is parseTime for a time that may be none.
func parseTimeOr0(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("time %q: must be 0 or a time with its unit, such as 500ms, 30s or 1h30m", s)
	}
	return d, nil
}

// timeOrOff makes a reader of durations above 0 and of the word off, which
// means off.
func timeOrOff(off time.Duration) func(string) (time.Duration, error) {
	return func(s string) (time.Duration, error) {
		if s == "off" {
			return off, nil
		}
		d, err := parseTime(s)
		if err != nil {
			err = fmt.Errorf("time %q: must be off or a time above 0 with its unit, such as 500ms, 30s or 1h30m", s)
		}
		return d, err
	}
}

// number makes a reader of whole numbers from low to high. math.MaxInt is no limit
// to mention, unless the number is above it.
func number(low, high int) func(string) (int, error) {
	return func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		switch {
		case err == nil && low <= n && n <= high:
			return n, nil
		case high < math.MaxInt:
			return 0, fmt.Errorf("number %q: must be a whole number, %d to %d", s, low, high)
		case n == math.MaxInt:
			return 0, fmt.Errorf("number %q: must be a whole number, at most %d", s, n)
		}
		return 0, fmt.Errorf("number %q: must be a whole number, %d or more", s, low)
	}
}

// parseMode reads the mode of a file in octal, as chmod does.
func parseMode(s string) (fs.FileMode, error) {
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil || n == 0 || n > 0o777 {
		return 0, fmt.Errorf("mode %q: must be octal, 1 to 777, such as 0660", s)
	}
	return fs.FileMode(n), nil
}

// choice makes a reader of one of these words, two or more.
func choice[T ~string](words ...T) func(string) (T, error) {
	return func(s string) (T, error) {
		if slices.Contains(words, T(s)) {
			return T(s), nil
		}
		list := string(words[0])
		for _, w := range words[1 : len(words)-1] {
			list += ", " + string(w)
		}
		return "", fmt.Errorf("%q: must be %s or %s", s, list, words[len(words)-1])
	}
}
