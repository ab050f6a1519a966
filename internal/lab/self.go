//go:build linux

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"time"

	insecure "math/rand/v2"

	"golang.org/x/sys/unix"
)

// parts are what this program does in a round, by its first argument.
var parts = map[string]func(at string, timeout time.Duration) error{"serve": serve, "tls": serveTLS, "pool": pool}

func answer(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") }

// serve is a server that closes all connections when it gets SIGTERM.
func serve(at string, timeout time.Duration) error {
	s := http.Server{Addr: at, IdleTimeout: timeout, Handler: http.HandlerFunc(answer)}
	end := make(chan os.Signal, 1)
	signal.Notify(end, unix.SIGTERM)
	closed := make(chan error, 1)
	go func() {
		<-end
		err := s.Close()
		time.Sleep(300 * time.Millisecond) // segments that come now meet sockets that the process closed, and not its exit
		closed <- err
	}()
	if err := s.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-closed
}

func serveTLS(at string, timeout time.Duration) error {
	own, err := certificate()
	if err != nil {
		return err
	}
	s := http.Server{
		Addr: at, IdleTimeout: timeout, Handler: http.HandlerFunc(answer),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{own}}, TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	return s.ListenAndServeTLS("", "")
}

func certificate() (c tls.Certificate, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return c, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// pool has connections that it uses some times, and then no more.
func pool(at string, timeout time.Duration) error {
	var all sync.WaitGroup
	errs := make(chan error, learning)
	for i := range learning {
		all.Go(func() {
			time.Sleep(time.Duration(i) * 137 * time.Millisecond) // they come one after the other
			client := http.Client{Transport: &http.Transport{IdleConnTimeout: timeout}}
			for range 2 {
				response, err := client.Get("http://" + at)
				if err != nil {
					errs <- fmt.Errorf("a request of the pool: %w", err)
					return
				}
				io.Copy(io.Discard, response.Body)
				response.Body.Close()
				time.Sleep(time.Duration(insecure.Int64N(int64(timeout * 2 / 3))))
			}
			time.Sleep(2 * timeout)
		})
	}
	all.Wait()
	close(errs)
	return <-errs
}
