package scenario

import (
	"errors"
	"time"
)

// Spike is a crowd that comes at once and goes again. The zero value is none.
type Spike struct {
	At    time.Duration `yaml:"at"`    // after the load began
	For   time.Duration `yaml:"for"`   // how long it stays
	Times float64       `yaml:"times"` // as many requests as else, of every route
}

// swell is how long it takes to come, and to go.
const swell = time.Second

func (s Spike) validate(l Load) error {
	if s == (Spike{}) {
		return nil
	}
	if s.Times <= 1 || s.For <= 0 || s.At < l.Ramp || s.At+s.For+2*swell > l.Ramp+l.Plateau {
		return errors.New("its spike is none, or not within the plateau")
	}
	return nil
}

// Stage is a time in which the load goes over to a multiple of its rates.
type Stage struct {
	Seconds float64 `json:"s"`
	Times   float64 `json:"times"`
}

// Stages of the load, one after the other.
func (l Load) Stages() []Stage {
	stages := []Stage{{l.Ramp.Seconds(), 1}}
	if s := l.Spike; s.Times > 0 {
		rest := l.Ramp + l.Plateau - s.At - s.For - 2*swell
		return append(stages, Stage{(s.At - l.Ramp).Seconds(), 1}, Stage{swell.Seconds(), s.Times}, Stage{s.For.Seconds(), s.Times}, Stage{swell.Seconds(), 1}, Stage{rest.Seconds(), 1})
	}
	return append(stages, Stage{l.Plateau.Seconds(), 1})
}
