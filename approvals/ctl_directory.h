/*
 * ctl_directory.h - the reader of `bastionctl sync`: a child without rights that turns a directory into lines.
 */
#ifndef BASTION_CTL_DIRECTORY_H
#define BASTION_CTL_DIRECTORY_H

#define DIRECTORY_TEXT 1024	/* bytes of an option */
#define DIRECTORY_LINE 2048	/* of a line to the parent */

/* directory.conf, as bastionctl(1) explains it. */
struct directory {
	char source[DIRECTORY_TEXT], base[DIRECTORY_TEXT], filter[DIRECTORY_TEXT], bind[DIRECTORY_TEXT], secret[DIRECTORY_TEXT],
	    name[DIRECTORY_TEXT], person[DIRECTORY_TEXT], roles[DIRECTORY_TEXT], prefix[DIRECTORY_TEXT], tls_ca[DIRECTORY_TEXT];
};

/*
 * Reads it all and writes "NAME|ROLE ROLE|PERSON" lines to fd, NAME alone for who is there but cannot be taken. An exit
 * status: 0 only if nothing was left out at the end.
 */
int directory_child(const struct directory *d, int fd);

#endif
