package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version returns the module's version, or the commit it was built from, and what
// built it.
func version() string {
	return fmt.Sprintf("hubbub %s (%s, %s/%s)", release(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func release() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
