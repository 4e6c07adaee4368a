//go:build linux

package main

import (
	"bufio"
	"fmt"
	"os/exec"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// A server's children and theirs are of its family; so is what they use and hold.
func TestFamilyIsAllThatDescend(t *testing.T) {
	cmd := exec.Command("sh", "-c", `sh -c 'sleep 60 & echo $!; wait' & wait`)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var grandchild int
	if _, err := fmt.Sscan(line, &grandchild); err != nil {
		t.Fatal(err)
	}
	family, err := familyOf(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, pid := range family {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		_ = cmd.Wait()
	})
	if len(family) != 3 || family[0] != cmd.Process.Pid || !slices.Contains(family, grandchild) {
		t.Fatalf("%v are not %d, its child and %d", family, cmd.Process.Pid, grandchild)
	}
	own, err := cpuOf(family[0])
	if err != nil {
		t.Fatal(err)
	}
	if all, err := cpuOfAll(family); err != nil || all <= own {
		t.Errorf("all have used %v, the first alone %v (%v)", all, own, err)
	}
	first, err := memoryOfAll(family[:1])
	if err != nil || first == 0 {
		t.Fatal(first, err)
	}
	if all, err := memoryOfAll(family); err != nil || all <= first {
		t.Errorf("all hold %d, the first alone %d (%v)", all, first, err)
	}
}
