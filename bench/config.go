//go:build linux

package main

import (
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// config is what all scenarios share: programs, cores, and how much of everything.
type config struct {
	self, hub  string // this program, which is also the floors; and hubbub
	websocketd string // a path, or a name in PATH
	cores      cores
	dir        string // for files

	clientScale, workScale, roundScale float64       // times the clients, what they do, and the rounds
	quiet                              time.Duration // see calm
	check                              bool          // compare every byte, at some cost to the clients
}

// fullSize returns the size of the table.
func fullSize() config {
	return config{websocketd: "websocketd", clientScale: 1, workScale: 1, roundScale: 1, quiet: 1500 * time.Millisecond}
}

func (c config) clients(n int) int { return max(int(float64(n)*c.clientScale), min(n, 2)) }

func (c config) work(n int) int { return max(int(float64(n)*c.workScale), 1) }

func (c config) lasts(d time.Duration) time.Duration {
	return time.Duration(c.workScale * float64(d))
}

func (c config) rounds(n int) int { return max(int(float64(n)*c.roundScale), 1) }

// setup finds the programs and cores. cleanup removes the files it makes.
func (c *config) setup() (cleanup func(), err error) {
	if c.cores, err = share(); err != nil {
		return nil, err
	}
	if c.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if c.dir, err = os.MkdirTemp("", "hubbub-bench-"); err != nil {
		return nil, err
	}
	cleanup = func() { _ = os.RemoveAll(c.dir) }
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	go func() {
		<-interrupted
		cleanup()
		os.Exit(1)
	}()
	if c.hub == "" {
		c.hub, err = buildHub(c.dir)
	}
	if err != nil {
		cleanup()
	}
	return cleanup, err
}

// buildHub builds hubbub as it is in this module.
func buildHub(dir string) (string, error) {
	path := filepath.Join(dir, "hubbub")
	build := exec.Command("go", "build", "-o", path, "hubbub.example/cmd/hubbub")
	build.Stderr = os.Stderr
	return path, build.Run()
}

// errMissing means that a scenario cannot run here.
var errMissing = errors.New("left out")

// command returns how to start a server for so many clients. line begins with
//
//	floor NAME      a floor: a bare loop of system calls
//	library NAME    a floor that is an ordinary Go program
//	raw             hubbub for raw clients only, which it does not have to detect
//	any             hubbub for clients of every protocol
//	websocketd      that program, with a Python program per client
//
// or with a program. Then come its arguments, in which CLIENTS is the number of
// clients and a name that ends in .py is a program of testdata.
func (c config) command(line string, clients int) (command, error) {
	words := strings.Fields(line)
	for i, word := range words {
		if word == "CLIENTS" {
			words[i] = strconv.Itoa(clients)
		} else if strings.HasSuffix(word, ".py") {
			path, err := c.program(word)
			if err != nil {
				return command{}, err
			}
			words[i] = path
		}
	}
	cmd := command{cores: c.cores.server}
	switch words[0] {
	case "floor":
		cmd.args, cmd.floor = append([]string{c.self}, words...), true
	case "library":
		cmd.args = append([]string{c.self, "floor"}, words[1:]...)
	case "raw":
		cmd.args = append([]string{c.hub, "serve", "tcp://127.0.0.1:0", "--loops", "1"}, words[1:]...)
	case "any":
		cmd.args = append([]string{c.hub, "serve", "127.0.0.1:0", "--loops", "1"}, words[1:]...)
	case "websocketd":
		err := c.perClient(&cmd, words[1])
		return cmd, err
	default:
		cmd.args = words
	}
	return cmd, nil
}

//go:embed testdata
var programs embed.FS

// program writes a program of testdata to where it can be run.
func (c config) program(name string) (string, error) {
	text, err := programs.ReadFile("testdata/" + name)
	if err != nil {
		return "", err
	}
	path := filepath.Join(c.dir, name)
	return path, os.WriteFile(path, text, 0o600)
}

// perClient makes cmd websocketd with a Python program. It asks Python for its
// path: where python3 is a script that finds the right one, every client would
// wait for it.
func (c config) perClient(cmd *command, program string) error {
	if _, err := exec.LookPath(c.websocketd); err != nil {
		return fmt.Errorf("%w: no %s; README.md says where to get it", errMissing, c.websocketd)
	}
	python, err := exec.Command("python3", "-c", "import sys; print(sys.executable, end='')").Output()
	if err != nil {
		return fmt.Errorf("python3: %w", err)
	}
	if cmd.port, err = freePort(); err != nil {
		return err
	}
	cmd.args = []string{
		c.websocketd, "--address=127.0.0.1", "--port", strconv.Itoa(cmd.port), "--maxforks", "0", "--loglevel", "error",
		string(python), "-u", program,
	}
	return nil
}
