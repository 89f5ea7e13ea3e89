package analyzers

// slowTimes are the bins of a window in which any of some operations was slow.
type slowTimes struct {
	from, step int64 // Unix ms, ms
	slow       []bool
}

// slowTimesOf merges the slow bins of each service's operations; all of them
// cut the window alike.
func slowTimesOf(symptoms []Symptom) map[string]*slowTimes {
	out := map[string]*slowTimes{}
	for i := range symptoms {
		s := &symptoms[i]
		if s.Step == 0 || len(s.SlowBins) == 0 {
			continue
		}
		for _, service := range []string{s.Entity.Service, ""} {
			t := out[service]
			if t == nil {
				t = &slowTimes{from: s.Times[0], step: s.Step, slow: make([]bool, len(s.SlowBins))}
				out[service] = t
			}
			for b, slow := range s.SlowBins {
				t.slow[b] = t.slow[b] || slow
			}
		}
	}
	return out
}

// at a time (Unix ms); nil was never slow.
func (s *slowTimes) at(t int64) bool {
	if s == nil || t < s.from {
		return false
	}
	b := (t - s.from) / s.step
	return b < int64(len(s.slow)) && s.slow[b]
}
