// Command promql says which of the queries on standard input, one a line,
// PromQL's own parser does not take, and exits with 1 if there is one. It is a
// module of its own so that nothing but a test has the parser.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"

	"github.com/prometheus/prometheus/promql/parser"
)

func main() {
	wrong, err := check(os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if wrong > 0 || err != nil {
		os.Exit(1)
	}
}

// check writes a line for every query that does not parse, and for the count.
func check(in io.Reader, out io.Writer) (wrong int, err error) {
	queries, language := 0, parser.NewParser(parser.Options{})
	lines := bufio.NewScanner(in)
	for ; lines.Scan(); queries++ {
		if _, err := language.ParseExpr(lines.Text()); err != nil {
			wrong++
			fmt.Fprintf(out, "%s: %v\n", lines.Text(), err)
		}
	}
	fmt.Fprintf(out, "%d queries, %d wrong\n", queries, wrong)
	return wrong, lines.Err()
}
