package servers

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Ports are taken from below the range from which the kernel gives ports to
// outgoing connections, 32768 and up: there a port that was free a moment ago
// soon is not.
const firstPort, lastPort = 18000, 31999

// freePort finds a port of the loopback interface that nobody listens on.
// Another program may take it before the server does: hence owns.
func freePort() (int, error) {
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		listener, err := net.Listen("tcp", address(port))
		if err != nil {
			continue
		}
		return port, listener.Close()
	}
	return 0, fmt.Errorf("no free port found between %d and %d", firstPort, lastPort)
}

// answering waits until the process answers on url with a status below 400,
// and checks that it is this process that listens there.
func answering(ctx context.Context, p Process, port int, path, log string) error {
	url := fmt.Sprintf("http://127.0.0.1:%d%s", port, path)
	return waitFor(ctx, p, port, log, func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode >= http.StatusBadRequest {
			return fmt.Errorf("GET %s: %s", path, response.Status)
		}
		return nil
	})
}

// waitFor tries until ready says nil, for up to half a minute.
func waitFor(ctx context.Context, p Process, port int, log string, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var last error
	for {
		if !p.alive() {
			return fmt.Errorf("%s has ended: %s", p.Name, lastWords(log))
		}
		attempt, done := context.WithTimeout(ctx, 2*time.Second)
		last = ready(attempt)
		done()
		if last == nil {
			return owns(p, port)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w; its last words: %s", p.Name, last, lastWords(log))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// owns checks that the process holds the listening socket of a port: what
// answers there could be somebody else's server.
func owns(p Process, port int) error {
	inodes, err := listeners(port)
	if err != nil {
		return err
	}
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.PID))
	if err != nil {
		return err
	}
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil {
			continue // closed in between
		}
		inode, found := strings.CutPrefix(target, "socket:[")
		if found && inodes[strings.TrimSuffix(inode, "]")] {
			return nil
		}
	}
	return fmt.Errorf("port %d is not held by %s (%d) but by another program", port, p.Name, p.PID)
}

// listeners are the inodes of the sockets that listen on a port.
func listeners(port int) (map[string]bool, error) {
	inodes := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			continue // a kernel without IPv6
		}
		parseListeners(string(text), port, inodes)
	}
	if len(inodes) == 0 {
		return nil, fmt.Errorf("nothing listens on port %d", port)
	}
	return inodes, nil
}

// parseListeners adds the inodes of a table of /proc/net. State 0A is LISTEN.
func parseListeners(table string, port int, inodes map[string]bool) {
	suffix := ":" + strings.ToUpper(leftPad(strconv.FormatInt(int64(port), 16)))
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) > 9 && fields[3] == "0A" && strings.HasSuffix(fields[1], suffix) {
			inodes[fields[9]] = true
		}
	}
}

func leftPad(hex string) string {
	return strings.Repeat("0", max(0, 4-len(hex))) + hex
}

// lastWords of a server: its log goes when the lab does.
func lastWords(log string) string {
	text, err := os.ReadFile(log)
	if err != nil || len(text) == 0 {
		return "nothing"
	}
	return lastLine(text)
}

// FreeAddress is the base URL of a port that was free a moment ago.
func FreeAddress() (string, error) {
	port, err := freePort()
	return "http://" + address(port), err
}
