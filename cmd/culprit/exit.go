package main

import "errors"

// Exit codes, part of the public contract.
const (
	exitOK           = 0
	exitFailed       = 1
	exitUsage        = 2
	exitGate         = 3
	exitInconclusive = 4
	exitInterrupted  = 130
)

// exitError is an error that decides the exit code.
type exitError struct {
	code int
	error
}

func (e *exitError) Unwrap() error { return e.error }

// usage marks an error as the caller's: flags, configuration, files named.
func usage(err error) error {
	if err == nil {
		return nil
	}
	return &exitError{exitUsage, err}
}

var errInterrupted = &exitError{exitInterrupted, errors.New("interrupted; what arrived was reported")}
