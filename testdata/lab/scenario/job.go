package scenario

import (
	"fmt"
	"time"
)

// Job is work that a scheduler starts beside the load.
type Job struct {
	At    time.Duration `yaml:"at"`    // when it begins, after the load
	For   time.Duration `yaml:"for"`   // how long it works
	Every time.Duration `yaml:"every"` // after which it begins again; 0: once
}

func (j Job) validate() error {
	if j.At < 0 || j.For <= 0 || j.Every != 0 && j.Every < j.For {
		return fmt.Errorf("a job at %s for %s every %s is none", j.At, j.For, j.Every)
	}
	return nil
}
