// Tells for each line of the table on standard input which proxy Go's httpproxy
// chooses: a line of JSON with the variables in env and a url.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"net/url"
	"os"
	"strings"

	"golang.org/x/net/http/httpproxy"
)

type row struct {
	Env map[string]string `json:"env"`
	URL string            `json:"url"`
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		verdict, err := choose(lines.Bytes())
		if err != nil {
			log.Fatalf("%s: %v", lines.Text(), err)
		}
		fmt.Println(verdict)
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
}

func choose(line []byte) (string, error) {
	var r row
	if err := json.Unmarshal(line, &r); err != nil {
		return "", err
	}
	os.Clearenv()
	for name, value := range r.Env {
		if err := os.Setenv(name, value); err != nil {
			return "", err
		}
	}
	server, err := url.Parse(r.URL)
	if err != nil {
		return "", err
	}
	proxy, err := httpproxy.FromEnvironment().ProxyFunc()(server)
	if err != nil {
		return "refused", nil
	}
	if proxy == nil {
		return "direct", nil
	}
	user := ""
	if proxy.User != nil {
		user = "user@"
	}
	return fmt.Sprintf("%s://%s%s", proxy.Scheme, user, strings.TrimSuffix(proxy.Host, ":")), nil
}
