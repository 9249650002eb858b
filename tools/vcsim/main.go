// A vCenter simulator for the tests: govmomi's own, as Debian packages it, behind a few flags.
// The simulator's code is untouched; this only starts it (Debian ships the library without vcsim).
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"log"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/vmware/govmomi/simulator"
)

func main() {
	model := simulator.VPX()
	model.DelayConfig.MethodDelay = map[string]int{}
	flag.IntVar(&model.Machine, "vm", model.Machine, "machines a resource pool")
	flag.IntVar(&model.Datastore, "ds", model.Datastore, "datastores")
	flag.IntVar(&model.DelayConfig.Delay, "delay", 0, "milliseconds before each answer")
	load := flag.String("load", "", "directory with a saved inventory")
	delays := flag.String("method-delay", "", "METHOD:MS,METHOD:MS")
	listen := flag.String("l", "127.0.0.1:0", "address to listen on")
	user := flag.String("username", "", "the only user; empty: any")
	password := flag.String("password", "", "the user's password")
	flag.Parse()

	for _, part := range strings.Split(*delays, ",") {
		if pair := strings.SplitN(part, ":", 2); len(pair) == 2 {
			ms, err := strconv.Atoi(pair[1])
			check(err)
			model.DelayConfig.MethodDelay[pair[0]] = ms
		}
	}
	if *load != "" {
		check(model.Load(*load))
	} else {
		check(model.Create())
	}
	model.Service.TLS = new(tls.Config)
	model.Service.Listen = &url.URL{Host: *listen}
	if *user != "" {
		model.Service.Listen.User = url.UserPassword(*user, *password)
	}
	server := model.Service.NewServer()
	fmt.Printf("https://%s/sdk\n", server.URL.Host)

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	// A test that dies closes its end of our standard input.
	go func() {
		buffer := make([]byte, 1)
		_, _ = os.Stdin.Read(buffer)
		stop <- syscall.SIGTERM
	}()
	<-stop
	server.Close()
	model.Remove()
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
