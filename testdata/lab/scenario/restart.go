package scenario

import (
	"errors"
	"fmt"
	"time"
)

// Restart ends a process of the shop and starts it anew, as a deployment does.
type Restart struct {
	Process string        `yaml:"process"` // SERVICE, or SERVICE-2 for its second replica
	At      time.Duration `yaml:"at"`      // after the load began; 0: just before it
}

func (r Restart) validate() error {
	if r.Process == "" {
		return errors.New("a restart of nothing")
	}
	if r.At < 0 {
		return fmt.Errorf("restart of %s has a negative time", r.Process)
	}
	return nil
}
