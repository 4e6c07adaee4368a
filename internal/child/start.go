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

// StartError says why a command could not be started, in the system's words.
type StartError struct {
	Command string
	Err     error
	hint    string // what would be right
}

func (e *StartError) Error() string {
	return "exec " + e.Command + ": " + e.Err.Error() + e.hint
}

func (e *StartError) Unwrap() error { return e.Err }

// Misused says that the command line is at fault, and not the system, which
// was out of processes, memory or descriptors.
func (e *StartError) Misused() bool {
	for _, scarce := range []error{unix.EAGAIN, unix.ENOMEM, unix.EMFILE, unix.ENFILE} {
		if errors.Is(e.Err, scarce) {
			return false
		}
	}
	return true
}

var (
	errNoCommand = errors.New("there is no command")
	errNotFound  = errors.New("not found in PATH")
)

// Find says where a command is; a *StartError if it can be known without
// starting it that it cannot be started.
func Find(command string) (path string, err error) {
	path, err = exec.LookPath(command)
	switch {
	case err == nil, errors.Is(err, exec.ErrDot): // PATH names this folder: then it is meant
		return path, nil
	case command == "":
		return "", &StartError{Command: `""`, Err: errNoCommand}
	case errors.Is(err, exec.ErrNotFound):
		return "", &StartError{command, errNotFound, hintFor(command, errNotFound)}
	}
	return "", newStartError(command, command, err)
}

// newStartError says what the system said, and what its words leave out.
func newStartError(command, path string, err error) *StartError {
	if errno, is := errors.AsType[unix.Errno](err); is {
		err = errno
	} else if errors.Is(err, fs.ErrPermission) {
		err = unix.EACCES
	}
	return &StartError{command, err, hintFor(path, err)}
}

// hintFor is what would be right, if that can be known.
func hintFor(path string, err error) string {
	st, statErr := os.Stat(path)
	isFile := statErr == nil && st.Mode().IsRegular()
	switch {
	case !isFile:
	case err == errNotFound && !strings.Contains(path, "/"):
		return "; the one in this folder is ./" + path
	case errors.Is(err, unix.EACCES) && st.Mode()&0o111 == 0:
		return "; make it a program: chmod +x " + path
	case errors.Is(err, unix.ENOENT):
		return ": the interpreter that its first line names"
	case errors.Is(err, unix.ENOEXEC):
		return "; a script begins with its interpreter: #!/bin/sh, #!/usr/bin/env python3"
	}
	return ""
}
