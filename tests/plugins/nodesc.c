/* nodesc.c: a shared object that is no plugin: it exports no description. */
int nothing_of_a_plugin(void);

__attribute__((visibility("default"))) int nothing_of_a_plugin(void)
{
    return 0;
}
