package main

import (
	"os/exec"
	"syscall"
)

// endWithParent makes the kernel tell the child to stop when we are gone,
// however that came.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
}
