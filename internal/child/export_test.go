//go:build unix

package child

import "time"

// Hurried is o with shorter waits.
func (o Options) Hurried() Options {
	o.pace = pace{
		first:   10 * time.Millisecond,
		longest: 50 * time.Millisecond,
		deaf:    time.Second,
	}
	return o
}
