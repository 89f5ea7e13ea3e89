package report

import (
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// elements lists a page's elements of one name; "" is all.
func elements(t *testing.T, page, name string) []*html.Node {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var out []*html.Node
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && (name == "" || n.Data == name) {
			out = append(out, n)
		}
	}
	return out
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.TrimSpace(b.String())
}

func has(n *html.Node, name string) bool {
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && d.Data == name {
			return true
		}
	}
	return false
}

func pages(t *testing.T, check func(t *testing.T, page string)) {
	for _, s := range append(samples(), wide(8)) {
		t.Run(s.name, func(t *testing.T) { check(t, render(t, writeHTML, s.report())) })
	}
}

// The page loads nothing and runs nothing: no script, no handler, no style but
// the one that the policy names, no address but links that a reader may follow.
func TestPageIsInert(t *testing.T) {
	pages(t, func(t *testing.T, page string) {
		for _, n := range elements(t, page, "") {
			switch n.Data {
			case "script", "iframe", "object", "embed", "link", "base", "form", "img":
				t.Errorf("a %s element", n.Data)
			}
			for _, a := range n.Attr {
				switch {
				case strings.HasPrefix(a.Key, "on"), a.Key == "style", a.Key == "src", a.Key == "xlink:href":
					t.Errorf("%s has the attribute %s", n.Data, a.Key)
				case a.Key == "href" && !strings.HasPrefix(a.Val, "#") && (n.Data != "a" || !strings.HasPrefix(a.Val, "https://") || attr(n, "rel") != "noreferrer noopener"):
					t.Errorf("%s leads to %s", n.Data, a.Val)
				}
			}
		}
	})
}

func TestPolicyNamesTheStyle(t *testing.T) {
	pages(t, func(t *testing.T, page string) {
		styles := elements(t, page, "style")
		if len(styles) != 1 {
			t.Fatalf("%d style elements", len(styles))
		}
		policy := ""
		for _, m := range elements(t, page, "meta") {
			if attr(m, "http-equiv") == "Content-Security-Policy" {
				policy = attr(m, "content")
			}
		}
		if want := "style-src '" + styleHash(styles[0].FirstChild.Data) + "'"; !strings.Contains(policy, want) || !strings.HasPrefix(policy, "default-src 'none'") {
			t.Errorf("policy %q does not have %q", policy, want)
		}
	})
}

// What a screen reader needs: one title, headings without gaps, names for
// pictures and tables, ids that exist once.
func TestPageIsAccessible(t *testing.T) {
	pages(t, func(t *testing.T, page string) {
		level, ids := 0, map[string]bool{}
		for _, n := range elements(t, page, "") {
			if id := attr(n, "id"); id != "" {
				if ids[id] {
					t.Errorf("id %s twice", id)
				}
				ids[id] = true
			}
			if len(n.Data) == 2 && n.Data[0] == 'h' && n.Data[1] >= '1' && n.Data[1] <= '6' {
				next := int(n.Data[1] - '0')
				if next > level+1 || next == 1 && level > 0 || textOf(n) == "" {
					t.Errorf("heading %q of level %d after level %d", textOf(n), next, level)
				}
				level = next
			}
			accessible(t, n)
		}
		for _, n := range elements(t, page, "") {
			for _, key := range []string{"aria-labelledby", "href"} {
				for id := range strings.FieldsSeq(strings.TrimPrefix(attr(n, key), "#")) {
					if !strings.Contains(id, "/") && !ids[id] {
						t.Errorf("%s refers to %s, which is not there", n.Data, id)
					}
				}
			}
		}
	})
}

func accessible(t *testing.T, n *html.Node) {
	t.Helper()
	switch {
	case n.Data == "html" && attr(n, "lang") == "":
		t.Error("no language")
	case n.Data == "svg" && attr(n, "aria-hidden") == "" && !(attr(n, "role") == "img" && (has(n, "title") && has(n, "desc") || attr(n, "aria-label") != "")):
		t.Error("a picture without a name")
	case n.Data == "table" && !has(n, "caption") && attr(n.Parent, "aria-label") == "":
		t.Error("a table without a name")
	case n.Data == "th" && attr(n, "scope") == "":
		t.Errorf("heading cell %q without scope", textOf(n))
	case n.Data == "figure" && !(has(n, "figcaption") && has(n, "table")):
		t.Error("a figure without caption or data")
	}
}

// Every chart marks the stages of the load and the slow time.
func TestChartsShareTheRun(t *testing.T) {
	page := render(t, writeHTML, severalCauses().report())
	charts := 0
	for _, n := range elements(t, page, "svg") {
		if attr(n, "class") != "plot" {
			continue
		}
		charts++
		bands, stages := 0, 0
		for d := range n.Descendants() {
			switch attr(d, "class") {
			case "band":
				bands++
			case "stage":
				stages++
			}
		}
		if bands != 1 || stages != 3 {
			t.Errorf("%d bands and %d stages, want 1 and 3", bands, stages)
		}
	}
	if charts != 7 {
		t.Errorf("%d charts, want 3 of symptoms and 4 of causes", charts)
	}
}
