// Package scenario reads the planted faults of the lab: what is made wrong,
// under which load, and what a good diagnosis would say. It runs nothing.
package scenario

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/culprit-rca/culprit/testdata/lab/shop/settings"
)

// Scenario is one planted fault, or none.
type Scenario struct {
	Name        string   `yaml:"-"` // of its file
	Description string   `yaml:"description"`
	Fault       Fault    `yaml:"fault"`
	Load        Load     `yaml:"load"`
	Expect      *Cause   `yaml:"expect"` // nil: nothing is wrong and nothing must be found
	Also        []Cause  `yaml:"also"`   // true besides, as effects of the planted one
	Pair        []Cause  `yaml:"pair"`   // planted as well, each a cause of its own
	MustHurt    *Hurting `yaml:"must_hurt"`
	Flaw        string   `yaml:"flaw"` // what the verdict must say of the run, where the run and not the shop was made bad
}

// Fault is what is made wrong: choices of the shop, its database, what stands
// before it or works beside, or its CPU and disk.
type Fault struct {
	Env       map[string]map[string]string `yaml:"env"`       // of the runtime, by process
	Jobs      []Job                        `yaml:"jobs"`      // of the recommender, beside the load
	HAProxy   map[string]int               `yaml:"haproxy"`   // requests at once, by service: those are reached through HAProxy
	Replicas  map[string]int               `yaml:"replicas"`  // processes of a service: SERVICE, SERVICE-2, ...; 1 where unset
	Disk      map[string]int               `yaml:"disk"`      // writes/s, by service
	Memory    map[string]int               `yaml:"memory"`    // MiB, page cache and all, by service, once the seed is written
	PgBouncer map[string]int               `yaml:"pgbouncer"` // server connections, by service: those go through PgBouncer
	Postgres  map[string]string            `yaml:"postgres"`  // server settings
	Reads     map[string]int               `yaml:"reads"`     // from the disk a second, by service
	Quota     map[string]float64           `yaml:"quota"`     // cores, by service
	QuotaAt   time.Duration                `yaml:"quota_at"`  // after the load began; 0: from the start
	QuotaFor  time.Duration                `yaml:"quota_for"` // how long it holds; 0: to the end
	SQL       []string                     `yaml:"sql"`       // run after the seed
	Sessions  []Session                    `yaml:"sessions"`  // of others, beside the load
	Restarts  []Restart                    `yaml:"restarts"`  // of the shop's processes
	Shares    map[string]int               `yaml:"shares"`    // of the CPU where it is short, by service, 1024 for each core requested; unset: 1024
	Shop      map[string]settings.Choices  `yaml:"shop"`      // by service
}

// Load is an open model: requests arrive at a rate whether or not earlier ones
// were answered.
type Load struct {
	Users   int                `yaml:"users" json:",omitempty"` // that the generator may have for each route; 0: as many as it takes
	Ramp    time.Duration      `yaml:"ramp"`
	Plateau time.Duration      `yaml:"plateau"`
	Spike   Spike              `yaml:"spike"`
	Rates   map[string]float64 `yaml:"rates"` // requests/s, by route
}

// Cause is what a diagnosis should name. Fields of the subject are substrings;
// an empty one may be anything.
type Cause struct {
	Rule      string `yaml:"rule"`
	Service   string `yaml:"service"`
	Operation string `yaml:"operation"`
	Resource  string `yaml:"resource"`
}

// Hurting says by how much p95 of a route must grow against healthy. A fault
// that does not hurt is not one.
type Hurting struct {
	Route  string  `yaml:"route"`
	Factor float64 `yaml:"factor"`
}

// Healthy is the scenario that the others are compared with.
const Healthy = "healthy"

// LoadAll reads all scenarios of a folder, healthy first, then by name.
func LoadAll(folder fs.FS) ([]Scenario, error) {
	files, err := fs.Glob(folder, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list scenarios: %w", err)
	}
	var all []Scenario
	for _, file := range files {
		text, err := fs.ReadFile(folder, file)
		if err != nil {
			return nil, fmt.Errorf("read scenario: %w", err)
		}
		s, err := Parse(strings.TrimSuffix(path.Base(file), ".yaml"), text)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b Scenario) int {
		if (a.Name == Healthy) != (b.Name == Healthy) {
			return map[bool]int{true: -1, false: 1}[a.Name == Healthy]
		}
		return strings.Compare(a.Name, b.Name)
	})
	return all, nil
}

// Parse reads one scenario. Unknown keys are errors: a misspelt fault would be
// no fault.
func Parse(name string, text []byte) (Scenario, error) {
	s := Scenario{Name: name, Load: StandardLoad()}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&s); err != nil {
		return Scenario{}, fmt.Errorf("parse scenario %s: %w", name, err)
	}
	if err := s.validate(); err != nil {
		return Scenario{}, fmt.Errorf("scenario %s: %w", name, err)
	}
	return s, nil
}

// StandardLoad is the load under which all scenarios are compared. It leaves
// two cores mostly idle when nothing is wrong.
func StandardLoad() Load {
	return Load{Ramp: 15 * time.Second, Plateau: 45 * time.Second, Rates: map[string]float64{
		"GET /products/{id}": 30,
		"GET /products":      15,
		"GET /orders":        12,
		"POST /orders":       16,
		"POST /events":       6,
	}}
}

// Sound says that nothing was planted: what happens in it is what the others
// are compared with.
func (s Scenario) Sound() bool {
	return s.Expect == nil && s.Flaw == "" && reflect.ValueOf(s.Fault).IsZero()
}

// Renamed is the scenario with every name of what should be found replaced.
func (s Scenario) Renamed(rename func(string) string) Scenario {
	if s.Expect != nil {
		expect := s.Expect.renamed(rename)
		s.Expect = &expect
	}
	s.Also, s.Pair = renamed(s.Also, rename), renamed(s.Pair, rename)
	return s
}

func renamed(causes []Cause, rename func(string) string) []Cause {
	out := slices.Clone(causes)
	for i, c := range causes {
		out[i] = c.renamed(rename)
	}
	return out
}

func (c Cause) renamed(rename func(string) string) Cause {
	return Cause{Rule: c.Rule, Service: rename(c.Service), Operation: rename(c.Operation), Resource: rename(c.Resource)}
}

func (s Scenario) validate() error {
	if strings.TrimSpace(s.Description) == "" {
		return errors.New("it has no description")
	}
	for service, choices := range s.Fault.Shop {
		if err := choices.Validate(); err != nil {
			return fmt.Errorf("%s: %w", service, err)
		}
	}
	if err := errors.Join(s.Fault.validateCPU(), s.Fault.validateDatabase(), s.Fault.validateServices()); err != nil {
		return err
	}
	if s.Load.Ramp < 0 || s.Load.Plateau <= 0 || s.Load.Users < 0 {
		return errors.New("its load has no plateau")
	}
	if err := s.Load.Spike.validate(s.Load); err != nil {
		return err
	}
	return s.validateExpectation()
}

// validateServices checks what stands before the shop's services, and how many
// of each there are.
func (f Fault) validateServices() error {
	if len(f.Jobs) > 0 && f.Shop["recommender"] == (settings.Choices{}) {
		return errors.New("jobs, and no recommender to do them")
	}
	for _, j := range f.Jobs {
		if err := j.validate(); err != nil {
			return err
		}
	}
	for _, r := range f.Restarts {
		if err := r.validate(); err != nil {
			return err
		}
	}
	for service, n := range f.HAProxy {
		if n <= 0 {
			return fmt.Errorf("haproxy before %s lets nothing through", service)
		}
	}
	for service, n := range f.Replicas {
		if n <= 0 {
			return fmt.Errorf("%d replicas of %s", n, service)
		}
	}
	return nil
}

// validateDatabase checks what is done to and around the database.
func (f Fault) validateDatabase() error {
	for what, limits := range map[string]map[string]int{"disk": f.Disk, "memory": f.Memory, "reads": f.Reads} {
		for service, limit := range limits {
			if service != "postgres" || limit <= 0 {
				return fmt.Errorf("%s of %s: only that of postgres can be limited, and not to nothing", what, service)
			}
		}
	}
	for service, size := range f.PgBouncer {
		if size <= 0 {
			return fmt.Errorf("pool of %s in pgbouncer is not positive", service)
		}
	}
	for _, session := range f.Sessions {
		if err := session.validate(); err != nil {
			return err
		}
	}
	return nil
}

func (s Scenario) validateExpectation() error {
	if (s.Expect == nil) != (s.MustHurt == nil) {
		return errors.New("expect and must_hurt belong together")
	}
	if s.Expect == nil && len(s.Pair) > 0 {
		return errors.New("pair belongs to expect")
	}
	if s.Flaw != "" && s.Expect != nil {
		return errors.New("a run that is of no use has no cause to find")
	}
	if s.Expect == nil {
		return nil
	}
	if s.Expect.Rule == "" || *s.Expect == (Cause{Rule: s.Expect.Rule}) {
		return errors.New("expect names no rule or no subject")
	}
	if _, loaded := s.Load.Rates[s.MustHurt.Route]; !loaded {
		return fmt.Errorf("must_hurt names route %q, which is not loaded", s.MustHurt.Route)
	}
	if s.MustHurt.Factor < 2 {
		return fmt.Errorf("factor %g: a fault must at least double p95", s.MustHurt.Factor)
	}
	return nil
}
