# The same programs once per level; 77 (Skipped) where the CPU lacks it.
foreach(file matmul quant)
    add_executable(test_kcheck_${file} ${CMAKE_CURRENT_LIST_DIR}/${file}.c)
    target_link_libraries(test_kcheck_${file} PRIVATE realm_flags rl_kernels rl_base
        PkgConfig::CMOCKA)
    target_compile_definitions(test_kcheck_${file} PRIVATE
        VECTORS="${CMAKE_CURRENT_LIST_DIR}/vectors/dequant.txt")
    foreach(level ref avx2 avx512)
        add_test(NAME kcheck.${file}.${level} COMMAND test_kcheck_${file})
        set_tests_properties(kcheck.${file}.${level} PROPERTIES LABELS kernel TIMEOUT 300
            SKIP_RETURN_CODE 77 ENVIRONMENT REALM_CPU=${level})
    endforeach()
endforeach()

add_executable(test_kcheck_cpu ${CMAKE_CURRENT_LIST_DIR}/cpu.c)
target_link_libraries(test_kcheck_cpu PRIVATE realm_flags rl_kernels rl_base PkgConfig::CMOCKA)
add_test(NAME kcheck.cpu COMMAND test_kcheck_cpu)
set_tests_properties(kcheck.cpu PROPERTIES LABELS kernel ENVIRONMENT REALM_CPU=fastest)
