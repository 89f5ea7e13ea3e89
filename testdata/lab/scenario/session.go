package scenario

import (
	"errors"
	"strings"
	"time"
)

// Session is somebody else's at the database, beside the load: a report, a
// migration, a transaction that was forgotten. It connects as the shop's own
// role, asking again where the server is full, runs its statements one after the
// other, and stays as it is, its transaction open if it began one, until it is
// over.
type Session struct {
	Name  string        `yaml:"name"`  // its application_name
	At    time.Duration `yaml:"at"`    // when it begins, after the load
	Every time.Duration `yaml:"every"` // after which it begins again; 0: once
	Count int           `yaml:"count"` // how many of them there are; 0: one
	SQL   []string      `yaml:"sql"`
	Hold  time.Duration `yaml:"hold"` // how long it stays after its last statement, no longer than the load
}

func (s Session) validate() error {
	switch {
	case strings.TrimSpace(s.Name) == "":
		return errors.New("a session has no name")
	case len(s.SQL) == 0:
		return errors.New("session " + s.Name + " runs no statement")
	case s.At < 0 || s.Hold < 0 || s.Every < 0 || s.Count < 0:
		return errors.New("session " + s.Name + " has a negative time or number")
	}
	return nil
}
