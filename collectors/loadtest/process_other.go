//go:build !unix

package loadtest

import (
	"os"
	"syscall"
)

func ownGroup() *syscall.SysProcAttr { return nil }

func signalGroup(p *os.Process, _ os.Signal) { _ = p.Kill() }

func exitCode(s *os.ProcessState) int { return s.ExitCode() }
