/* A stranger to our lock: the C library's own sem_open on the same semaphore, a counter in the same memory.
 *
 *   sem_peer count NAME KEY N   lock, add one to the counter at the end of the segment, unlock; N times
 *   sem_peer hold NAME          lock, say "held", sleep until killed
 *   sem_peer create NAME        create it with value 1
 */
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

static sem_t *open_sem(const char *name, int flags)
{
    sem_t *sem = sem_open(name, flags, 0666, 1);
    if (sem == SEM_FAILED) {
        perror("sem_open");
        exit(1);
    }
    return sem;
}

static int count(sem_t *sem, key_t key, long n)
{
    int id = shmget(key, 0, 0666);
    char *memory = id < 0 ? (char *)-1 : shmat(id, NULL, 0);
    struct shmid_ds ds;
    if (memory == (char *)-1 || shmctl(id, IPC_STAT, &ds) < 0) {
        perror("shmat");
        return 1;
    }
    volatile unsigned long *counter = (volatile unsigned long *)(memory + ds.shm_segsz - 8);
    for (long i = 0; i < n; i++) {
        sem_wait(sem);
        *counter += 1;
        sem_post(sem);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "count") == 0)
        return count(open_sem(argv[2], 0), (key_t)strtoul(argv[3], NULL, 0), atol(argv[4]));
    if (argc == 3 && strcmp(argv[1], "hold") == 0) {
        sem_wait(open_sem(argv[2], 0));
        puts("held");
        fflush(stdout);
        for (;;)
            pause();
    }
    if (argc == 3 && strcmp(argv[1], "create") == 0) {
        umask(0);
        open_sem(argv[2], O_CREAT | O_EXCL);
        return 0;
    }
    fputs("usage: see the head of this file\n", stderr);
    return 2;
}
