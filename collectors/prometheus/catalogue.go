package prometheus

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

//go:embed signals/*.yaml
var builtin embed.FS

// catalogue is what is known of metrics: for every class of bottleneck the
// kinds of evidence, and the families of metrics they can be read from, the
// preferred first.
type catalogue struct {
	classes []*class
	kinds   map[evidence.Kind]*kindSpec
}

// class is one file: one class of bottleneck.
type class struct {
	Class    string     `yaml:"class"`
	Title    string     `yaml:"title"`
	Kinds    []kindSpec `yaml:"kinds"`
	Families []family   `yaml:"families"`
	Unseen   []unseen   `yaml:"unseen"`
}

// kindSpec says what a kind of evidence is, whoever measured it.
type kindSpec struct {
	Kind  evidence.Kind `yaml:"kind"`
	Unit  string        `yaml:"unit"`  // UCUM
	Shape shape         `yaml:"shape"` //
	Doc   string        `yaml:"doc"`
	// Merged kinds are summed over the instances of a service; where a service
	// has several they are read once more for each.
	Merged bool `yaml:"merged"`
	// Counted kinds begin at the first event: their first sample is no zero.
	Counted bool `yaml:"counted"`
}

// shape of a kind: gauge, rate or histogram.
type shape string

const (
	shapeGauge     shape = "gauge"
	shapeRate      shape = "rate"
	shapeHistogram shape = "histogram"
)

// family is a set of metrics of one exporter or library.
type family struct {
	Name   string   `yaml:"name"`   // the exporter or library, for people
	Group  string   `yaml:"group"`  // families of one group displace each other for a service, the first wins; default: the class
	About  about    `yaml:"about"`  // service (default), container, node
	Last   bool     `yaml:"last"`   // a last resort: of no account where another family of the group shows the kind anywhere
	Prefix bool     `yaml:"prefix"` // any prefix that ends in _ may stand before the names
	Except string   `yaml:"except"` // names that are not meant, a regular expression
	Labels []string `yaml:"labels"` // must be there, else the series are another family's
	Select string   `yaml:"select"` // further matchers
	Skip   []string `yaml:"skip"`   // labels whose value names a route; health checks and metrics are left out

	Service   pattern `yaml:"service"`
	Instance  pattern `yaml:"instance"`
	Operation pattern `yaml:"operation"`
	Resource  pattern `yaml:"resource"`
	Reads     []read  `yaml:"reads"`

	class *class
	not   *regexp.Regexp
}

// about says whose metrics a family holds, and so where the service's name
// comes from: its labels, or, for a container, the services seen elsewhere.
type about string

const (
	aboutService   about = "service"
	aboutContainer about = "container"
	aboutNode      about = "node"
)

// read tells how a kind is read from metrics of the family.
type read struct {
	Kind   evidence.Kind `yaml:"kind"`
	Metric string        `yaml:"metric"` // braces give alternatives: pgxpool_acquire{s,_count}
	With   []string      `yaml:"with"`   // further metrics that Query needs
	Query  string        `yaml:"query"`  // with $1 for Metric, $2.. for With; default: by the shape
	Labels []string      `yaml:"labels"` // must be there, beside the family's
	Select string        `yaml:"select"`
	Agg    string        `yaml:"agg"`   // over the labels that are dropped: sum (default), max, min, avg
	Scale  float64       `yaml:"scale"` // to the kind's unit; default 1
	Above  *float64      `yaml:"above"` // values not above are no values: "0 means unlimited"
	Below  *float64      `yaml:"below"` // values not below are no values: 2^63 means unlimited
	Sum    string        `yaml:"sum"`   // a histogram's sum, where it is not the base and _sum
	Rated  *bool         `yaml:"rated"` // a rate from a metric that is already one, or a gauge from a counter: against the shape

	order  int  // place in the catalogue: the preference
	parted bool // every metric is a _count or a _sum, which native histograms hold too
	spec   *kindSpec
	names  [][]string // Metric, then each of With, alternatives expanded
}

// unseen is the gap that is left when none of some kinds was found.
type unseen struct {
	Kinds  []evidence.Kind `yaml:"kinds"`
	Reason string          `yaml:"reason"`
	Remedy string          `yaml:"remedy"`
	// When one of these kinds is there the gap is one; else the class does not
	// apply, which is a note. Empty: always a gap.
	Given []evidence.Kind `yaml:"given"`
	// Where the server has one of these metrics, what would show the kinds is
	// at work and has nothing to show: Absent says so, in a note.
	Proof  []string `yaml:"proof"`
	Absent string   `yaml:"absent"`
}

// loadCatalogue reads the built-in classes, and before them those of a user's
// directory, which may add families to known kinds or whole new kinds.
func loadCatalogue(dir string) (*catalogue, error) {
	sub, err := fs.Sub(builtin, "signals")
	if err != nil {
		return nil, err
	}
	own, err := readClasses(sub)
	if err != nil {
		return nil, err
	}
	if dir != "" {
		theirs, err := readClasses(os.DirFS(dir))
		if err != nil {
			return nil, fmt.Errorf("signals directory: %w", err)
		}
		if len(theirs) == 0 {
			return nil, errors.New("signals directory: it holds no .yaml file")
		}
		own = append(theirs, own...)
	}
	return newCatalogue(own)
}

// readClasses reads every YAML file of a directory, in the order of names.
func readClasses(dir fs.FS) ([]*class, error) {
	files, err := fs.ReadDir(dir, ".")
	if err != nil {
		return nil, err
	}
	var out []*class
	for _, f := range files {
		if f.IsDir() || path.Ext(f.Name()) != ".yaml" {
			continue
		}
		text, err := fs.ReadFile(dir, f.Name())
		if err != nil {
			return nil, err
		}
		c, err := parseClass(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
		out = append(out, c)
	}
	return out, nil
}

// parseClass is strict: a key that it does not know is an error.
func parseClass(text []byte) (*class, error) {
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	c := &class{}
	if err := dec.Decode(c); err != nil {
		return nil, err
	}
	if err := dec.Decode(&struct{}{}); !errors.Is(err, io.EOF) {
		return nil, errors.New("one document a file")
	}
	return c, nil
}

// newCatalogue joins and checks classes: every error names its place.
func newCatalogue(classes []*class) (*catalogue, error) {
	c := &catalogue{classes: classes, kinds: map[evidence.Kind]*kindSpec{}}
	for _, cl := range classes {
		for i := range cl.Kinds {
			k := &cl.Kinds[i]
			if err := k.check(); err != nil {
				return nil, fmt.Errorf("class %s: kind %q: %w", cl.Class, k.Kind, err)
			}
			if c.kinds[k.Kind] != nil {
				return nil, fmt.Errorf("class %s: kind %q is defined twice", cl.Class, k.Kind)
			}
			c.kinds[k.Kind] = k
		}
	}
	order := 0
	for _, cl := range classes {
		if err := c.link(cl, &order); err != nil {
			return nil, fmt.Errorf("class %s: %w", cl.Class, err)
		}
	}
	return c, nil
}

func (c *catalogue) link(cl *class, order *int) error {
	if cl.Class == "" || cl.Title == "" {
		return errors.New("class and title are needed")
	}
	for i := range cl.Families {
		f := &cl.Families[i]
		f.class = cl
		if err := f.check(c.kinds); err != nil {
			return fmt.Errorf("family %q: %w", f.Name, err)
		}
		for j := range f.Reads {
			f.Reads[j].order = *order
			*order++
		}
	}
	for _, u := range cl.Unseen {
		for _, k := range slices.Concat(u.Kinds, u.Given) {
			if c.kinds[k] == nil {
				return fmt.Errorf("unseen: kind %q is not defined", k)
			}
		}
		if (len(u.Proof) == 0) != (u.Absent == "") {
			return errors.New("unseen: proof and absent need each other")
		}
		if len(u.Kinds) == 0 || u.Reason == "" || u.Remedy == "" {
			return errors.New("unseen: kinds, reason and remedy are needed")
		}
	}
	return nil
}

// provides lists the kinds, sorted.
func (c *catalogue) provides() []evidence.Kind {
	out := make([]evidence.Kind, 0, len(c.kinds))
	for k := range c.kinds {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

var kindName = regexp.MustCompile(`^[a-z][a-z0-9-]*(\.[a-z0-9-]+)*$`)

func (k *kindSpec) check() error {
	switch {
	case !kindName.MatchString(string(k.Kind)):
		return errors.New("a kind is dotted lower case")
	case k.Unit == "" || k.Doc == "":
		return errors.New("unit and doc are needed")
	case k.Shape != shapeGauge && k.Shape != shapeRate && k.Shape != shapeHistogram:
		return fmt.Errorf("shape %q is none of gauge, rate, histogram", k.Shape)
	}
	return nil
}

func (f *family) check(kinds map[evidence.Kind]*kindSpec) error {
	if f.Name == "" || len(f.Reads) == 0 {
		return errors.New("name and reads are needed")
	}
	if f.About == "" {
		f.About = aboutService
	}
	if !slices.Contains([]about{aboutService, aboutContainer, aboutNode}, f.About) {
		return fmt.Errorf("about %q is none of service, container, node", f.About)
	}
	if f.Group == "" {
		f.Group = f.class.Class
	}
	if f.Except != "" {
		re, err := regexp.Compile(f.Except)
		if err != nil {
			return fmt.Errorf("except: %w", err)
		}
		f.not = re
	}
	for i := range f.Reads {
		r := &f.Reads[i]
		if err := r.check(kinds); err != nil {
			return fmt.Errorf("kind %q: %w", r.Kind, err)
		}
	}
	return nil
}

var (
	metricName = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`)
	parameter  = regexp.MustCompile(`\$(\d|[A-Z]+)`)
)

func (r *read) check(kinds map[evidence.Kind]*kindSpec) error {
	if r.spec = kinds[r.Kind]; r.spec == nil {
		return errors.New("it is not defined under kinds")
	}
	for _, m := range append([]string{r.Metric}, r.With...) {
		names := braces(m)
		for i, n := range names {
			if !metricName.MatchString(n) {
				return fmt.Errorf("metric %q is no metric name", n)
			}
			names[i] = normalise(n)
		}
		r.names = append(r.names, names)
	}
	if r.Scale == 0 {
		r.Scale = 1
	}
	if r.Agg == "" {
		r.Agg = "sum"
	}
	if !slices.Contains([]string{"sum", "max", "min", "avg"}, r.Agg) {
		return fmt.Errorf("agg %q is none of sum, max, min, avg", r.Agg)
	}
	if r.Query == "" && len(r.With) > 0 {
		return errors.New("with needs a query")
	}
	r.parted = r.spec.Shape != shapeHistogram && r.fromParts()
	return r.checkQuery()
}

// fromParts reports whether the read takes rates of counts and sums of
// histograms and nothing else.
func (r *read) fromParts() bool {
	for _, names := range r.names {
		if !slices.ContainsFunc(names, func(n string) bool { _, part := partOf(n); return part != "" }) {
			return false
		}
	}
	if r.Query == "" {
		return r.rate()
	}
	return !strings.Contains(rateOf.ReplaceAllString(r.Query, ""), "$SEL")
}

func (r *read) checkQuery() error {
	if r.Query == "" {
		return nil
	}
	if r.spec.Shape == shapeHistogram {
		return errors.New("a histogram has no query of its own")
	}
	for _, m := range parameter.FindAllStringSubmatch(r.Query, -1) {
		switch p := m[1]; {
		case p == "W" || p == "BY" || p == "SEL" || p == "STEP":
		case p >= "1" && int(p[0]-'0') <= len(r.names):
		default:
			return fmt.Errorf("query: $%s is not known", p)
		}
	}
	for i := range r.names {
		if !strings.Contains(r.Query, fmt.Sprintf("$%d{$SEL", i+1)) {
			return fmt.Errorf("query: metric $%d must be selected as $%d{$SEL...}", i+1, i+1)
		}
	}
	return nil
}

// braces expands alternatives as a shell does: a{b,c}{,_total} gives ab,
// ab_total, ac, ac_total.
func braces(s string) []string {
	open := strings.IndexByte(s, '{')
	end := strings.IndexByte(s, '}')
	if open < 0 || end < open {
		return []string{s}
	}
	var out []string
	rest := braces(s[end+1:])
	for _, alt := range strings.Split(s[open+1:end], ",") {
		for _, tail := range rest {
			out = append(out, s[:open]+alt+tail)
		}
	}
	return out
}
