//go:build unix

package child

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// StartError is why a command could not be started, in the system's words.
type StartError struct {
	Command string
	Err     error
	hint    string // what to do
}

func (e *StartError) Error() string {
	return "exec " + e.Command + ": " + e.Err.Error() + e.hint
}

func (e *StartError) Unwrap() error { return e.Err }

// Misused reports whether the command line is at fault, and not a system that is
// out of processes, memory or descriptors.
func (e *StartError) Misused() bool {
	for _, scarce := range []error{unix.EAGAIN, unix.ENOMEM, unix.EMFILE, unix.ENFILE} {
		if errors.Is(e.Err, scarce) {
			return false
		}
	}
	return true
}

var (
	errNoCommand = errors.New("no command")
	errNotFound  = errors.New("not found in PATH")
)

// Find finds a command. Its error is a *StartError, if it is clear without a start
// that the command cannot be started.
func Find(command string) (path string, err error) {
	path, err = exec.LookPath(command)
	switch {
	case err == nil, errors.Is(err, exec.ErrDot): // PATH has the current directory
		return path, nil
	case command == "":
		return "", &StartError{Command: `""`, Err: errNoCommand}
	case errors.Is(err, exec.ErrNotFound):
		return "", &StartError{command, errNotFound, hintFor(command, errNotFound)}
	}
	return "", newStartError(command, command, err)
}

// newStartError returns the system's error, with a hint where its words leave one out.
func newStartError(command, path string, err error) *StartError {
	if errno, is := errors.AsType[unix.Errno](err); is {
		err = errno
	} else if errors.Is(err, fs.ErrPermission) {
		err = unix.EACCES
	}
	return &StartError{command, err, hintFor(path, err)}
}

// hintFor returns what to do, if that can be known.
func hintFor(path string, err error) string {
	st, statErr := os.Stat(path)
	isFile := statErr == nil && st.Mode().IsRegular()
	switch {
	case !isFile:
	case err == errNotFound && !strings.Contains(path, "/"):
		return "; to run the one in this directory: ./" + path
	case errors.Is(err, unix.EACCES) && st.Mode()&0o111 == 0:
		return "; make it executable: chmod +x " + path
	case errors.Is(err, unix.ENOENT):
		return ": the interpreter in its first line"
	case errors.Is(err, unix.ENOEXEC):
		return "; begin the script with its interpreter, such as #!/bin/sh or #!/usr/bin/env python3"
	}
	return ""
}
